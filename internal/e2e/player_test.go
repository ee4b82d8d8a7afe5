package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"poa/internal/gamesync/gametest"
)

// A game is played on by a process of its own, which shares nothing with those
// that follow it but its database: this test binary, started again with
// playerEnv set to a player as JSON.
const playerEnv = "POA_E2E_PLAYER"

// player is what plays a game on.
type player struct {
	URL  string // of the game's own role
	Game gametest.Options
	Live gametest.LiveOptions
}

// startPlayer starts a process that plays until its time is over.
func startPlayer(t *testing.T, p player) *process {
	t.Helper()
	description, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), playerEnv+"="+string(description))
	return start(t, cmd)
}

// playOn is the life of such a process. It writes what it did to standard
// output, as JSON.
func playOn(description string) error {
	var p player
	if err := json.Unmarshal([]byte(description), &p); err != nil {
		return fmt.Errorf("reading %s: %w", playerEnv, err)
	}
	played, err := gametest.New(p.Game).Live(context.Background(), p.URL, p.Live)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(played)
}

// played returns what a player did that has ended by itself.
func played(t *testing.T, p *process) (did gametest.Played) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.Log()), &did); err != nil || p.ExitCode() != 0 {
		t.Fatalf("playing on ended with exit code %d, %v\n%s", p.ExitCode(), err, p.Tail())
	}
	return did
}
