package scheduler

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestRiverSpeaksOfTroubleOnly(t *testing.T) {
	for _, c := range []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelDebug, "level=DEBUG msg=detail a=1 g.b=2;level=DEBUG msg=information a=1 g.b=2;level=WARN msg=warning a=1 g.b=2;level=ERROR msg=error a=1 g.b=2;"},
		{slog.LevelInfo, "level=WARN msg=warning a=1 g.b=2;level=ERROR msg=error a=1 g.b=2;"},
	} {
		var out bytes.Buffer
		leaveTimeOut := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		inner := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: c.level, ReplaceAttr: leaveTimeOut})
		log := slog.New(detail{inner}).With("a", 1).WithGroup("g").With("b", 2)
		log.Debug("detail")
		log.Info("information")
		log.Warn("warning")
		log.Error("error")
		if got := strings.ReplaceAll(out.String(), "\n", ";"); got != c.want {
			t.Errorf("at %s:\n%s\nwant\n%s", c.level, got, c.want)
		}
	}
}
