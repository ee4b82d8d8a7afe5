package config

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"poa/internal/gamesync"
)

func TestWritebackSettings(t *testing.T) {
	file := write(t, "poa.yaml", "writeback:\n  mode: on\n  to: postgres://poa_writer:secret-word@db/game\n  elo: true\n  rows: 20\n  rate: 2.5\n  poll: 2s\n")
	c := load(t, Options{File: file})
	want := gamesync.WriteSettings{
		Mode: gamesync.WriteOn, To: "postgres://poa_writer:secret-word@db/game", Elo: true, Rows: 20, Rate: 2.5, Poll: 2 * time.Second, Lease: 30 * time.Second,
	}
	if c.Writeback != want {
		t.Errorf("%+v, want %+v", c.Writeback, want)
	}
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "secret-word") || !strings.Contains(printed.String(), "postgres://poa_writer:xxxxx@db/game") {
		t.Errorf("the password is printed:\n%s", printed.String())
	}
	if c := load(t, Options{File: write(t, "off.yaml", "writeback:\n  mode: off\n")}); c.Writeback != gamesync.WriteDefaults() {
		t.Errorf("off is %+v", c.Writeback)
	}
}

func TestWritebackSettingsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"mode: on":         "writeback.to",
		"mode: trial":      "writeback.to",
		"mode: yes-please": "writeback.mode",
		"to: mysql://game": "writeback.to",
		"rows: 51":         "writeback.rows",
		"rows: 0":          "writeback.rows",
		"rate: 0":          "writeback.rate",
		"rate: .inf":       "writeback.rate",
		"poll: 1ms":        "writeback.poll",
		"lease: 10ms":      "writeback.lease",
	} {
		_, err := Load(Options{File: write(t, "poa.yaml", "writeback:\n  "+text+"\n")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error about %s", text, err, want)
		}
	}
}
