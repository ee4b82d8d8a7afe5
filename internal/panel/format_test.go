package panel

import (
	"math"
	"net/url"
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(54312): "54,312", count(int64(-1234567)): "−1,234,567",
		plural(1, "vote"): "1 vote", plural(2000, "vote"): "2,000 votes",
		poa(47.305): "47.30", fixed(-0.5, 1): "−0.5", fixed(math.NaN(), 2): "–",
		signed(1.25): "+1.25", signed(-0.4): "−0.40", signed(0.001): "0.00", signed(-0.001): " 0.00"[1:],
		percent(0): "0 %", percent(0.04): "<0.1 %", percent(42.34): "42.3 %", percent(99.95): ">99.9 %", percent(100): "100 %",
		span(240 * time.Millisecond): "240 ms", span(1500 * time.Millisecond): "1.5 s", span(12 * time.Second): "12 s", span(5*time.Minute + 59*time.Second): "5 min",
		span(3*time.Hour + 20*time.Minute): "3 h 20 min", span(11*time.Hour + 20*time.Minute): "11 h", span(100 * time.Hour): "4 d", span(-time.Second): "0 s",
		since(now.Add(-3*time.Second), now): "just now", since(now.Add(-3*time.Minute), now): "3 min ago", since(now.Add(3*time.Minute), now): "in 3 min",
		remaining(now.Add(249*time.Second), now): "4:09", remaining(now.Add(3750*time.Second), now): "1:02:30", remaining(now.Add(-time.Second), now): "0:00",
		words("run_ended"): "run ended", sentence("must be text"): "Must be text.", sentence(""): "", sentence("Done!"): "Done!",
		nftPath("contract/1"): "/nfts/contract%2F1", nftPath("a b?c#d"): "/nfts/a%20b%3Fc%23d",
		with("/log", url.Values{"kind": {"failed"}}, "before", "7"): "/log?before=7&kind=failed",
		with("/log", url.Values{"kind": {"failed"}}, "kind", ""):    "/log",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if within(-1) != 0 || within(101) != 100 {
		t.Error("within")
	}
}

// TestWithLeavesTheQueryAlone sees that links made of one query do not mix.
func TestWithLeavesTheQueryAlone(t *testing.T) {
	q := url.Values{"kind": {"failed"}}
	_ = with("/log", q, "before", "7", "kind", "")
	if q.Encode() != "kind=failed" {
		t.Errorf("query %s", q.Encode())
	}
}
