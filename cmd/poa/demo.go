package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/access"
	"poa/internal/ledger"
	"poa/internal/panel"
	"poa/internal/sample"
	"poa/internal/scoring"
	"poa/internal/store"
)

type demoCommand struct {
	Seed   uint64        `default:"1" help:"Another number makes another game. [1]"`
	For    time.Duration `placeholder:"TIME" help:"End by itself after a time, such as 30s. [until Ctrl-C]"`
	Rate   float64       `default:"4" help:"Votes per second of the live voters. [4]"`
	Listen string        `placeholder:"ADDRESS" help:"Address and port of the service. [127.0.0.1:8080, or a free port]"`
}

// demoDoc is what the demo shows, and its closing summary.
type demoDoc struct {
	Database    string         `json:"database"`
	Address     string         `json:"address"`
	Panel       string         `json:"panel"`      // a link that signs in, for as long as the demo runs
	ViewerKey   string         `json:"viewer_key"` // keys of this run
	GatewayKey  string         `json:"voter_gateway_key"`
	OperatorKey string         `json:"operator_key"`
	NFTs        int64          `json:"nfts"`
	Votes       int64          `json:"votes"`
	Live        int            `json:"live_votes"`
	Triggered   map[string]int `json:"triggered"` // computations by the live votes, by reason
	Scored      int64          `json:"scored"`
	Ready       int64          `json:"ready"` // votes, no score: the next batch takes them
}

func (c *demoCommand) Run(ctx context.Context, m *Main) error {
	if c.Rate <= 0 || c.Rate > 1000 {
		return usageError{errors.New("--rate must be above 0, up to 1000")}
	}
	if m.cli.Database == "" {
		dir, err := os.MkdirTemp("", "poa-demo-")
		if err != nil {
			return fmt.Errorf("making a folder for the demo: %w", err)
		}
		m.cli.Database = "sqlite:" + filepath.Join(dir, "poa.db")
		m.config.Database = m.cli.Database
	}
	if !m.cli.JSON {
		m.printf("The database is %s; it stays when the demo ends.\n", m.database())
	}
	c.address(m)
	m.config.Panel.TryIt, m.config.Panel.SampleArt = true, true
	if !m.cli.Verbose { // the demo tells what happens itself
		m.log = slog.New(slog.NewTextHandler(m.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if err := m.openToServe(ctx, true); err != nil {
		return err
	}
	doc := demoDoc{Database: m.database().String(), Triggered: map[string]int{}}
	game := sample.Published(c.Seed, m.Now())
	if err := c.history(ctx, m, game); err != nil {
		return fmt.Errorf("setting the game up: %w", err)
	}
	s, err := m.newService(ctx)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	if err = c.welcome(ctx, m, s, game, &doc); err == nil {
		err = c.play(ctx, m, s.ledger, game, &doc)
	}
	err = errors.Join(err, s.people.Farewell(context.WithoutCancel(ctx)))
	if err = errors.Join(err, s.stop()); err != nil {
		return fmt.Errorf("playing the demo: %w", err)
	}
	return doc.print(context.WithoutCancel(ctx), m)
}

// address chooses where the demo listens: where it is told, else at the usual
// place, else wherever there is a free port.
func (c *demoCommand) address(m *Main) {
	if c.Listen != "" {
		m.config.Serve.Listen = c.Listen
		return
	}
	l, err := net.Listen("tcp", m.config.Serve.Listen)
	if err != nil {
		m.config.Serve.Listen = "127.0.0.1:0"
		return
	}
	l.Close()
}

// welcome makes a key of each role, and says what there is to see and try.
func (c *demoCommand) welcome(ctx context.Context, m *Main, s *service, game *sample.Game, doc *demoDoc) error {
	doc.Address = "http://" + s.listener.Addr().String()
	run := m.Now().UTC().Format("20060102T150405")
	for role, key := range map[store.Role]*string{store.Viewer: &doc.ViewerKey, store.VoterGateway: &doc.GatewayKey, store.Operator: &doc.OperatorKey} {
		secret, hash := access.NewKey()
		k := store.Key{Name: "demo-" + string(role) + "-" + run, Role: role, Hash: hash, CreatedAt: m.Now().UTC().Truncate(time.Microsecond), CreatedBy: who}
		if _, err := m.service().PutKey(ctx, k); err != nil {
			return fmt.Errorf("making the demo's keys: %w", err)
		}
		*key = secret
	}
	token, err := s.people.Welcome(ctx, "demo")
	if err != nil {
		return fmt.Errorf("making the demo's operator: %w", err)
	}
	doc.Panel = doc.Address + panel.EnterPath + "?token=" + token
	if m.cli.JSON {
		return m.printLine(doc)
	}
	m.printf("%s is ready and served at %s\n\n", doc.Database, doc.Address)
	m.printf("  panel              %s\n", doc.Panel)
	m.printf("  API docs           %s/api/v1/docs\n", doc.Address)
	m.printf("  viewer key         %s\n  voter-gateway key  %s\n  operator key       %s\n\n", doc.ViewerKey, doc.GatewayKey, doc.OperatorKey)
	m.printf("See who leads, and cast a super vote:\n\n")
	m.printf("  curl -H 'Authorization: Bearer %s' %s/api/v1/leaderboard\n\n", doc.ViewerKey, doc.Address)
	m.printf("  curl -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n    -d %s %s/api/v1/votes\n\n",
		doc.GatewayKey, quoted(exampleVote(game, run)), doc.Address)
	m.printf("People go on voting, %s a second. What triggers:\n", strconv.FormatFloat(c.Rate, 'g', -1, 64))
	return nil
}

// exampleVote is a super vote between the game's first two NFTs, as the API
// takes it, with a key of this run.
func exampleVote(game *sample.Game, run string) string {
	var ids []string
	for nft := range game.NFTs() {
		if ids = append(ids, nft.ID); len(ids) == 2 {
			break
		}
	}
	return fmt.Sprintf(`{"key": "curl-%s", "voter": "me", "kind": "matchup", "a": %q, "b": %q, "outcome": "a", "super": true}`, run, ids[0], ids[1])
}

// play lets the live voters vote until ctx or the demo's time ends.
func (c *demoCommand) play(ctx context.Context, m *Main, l *ledger.Ledger, game *sample.Game, doc *demoDoc) error {
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	live := game.Live()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / c.Rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		vote := live.Next(m.Now())
		// The vote under way is recorded even where the demo's time ends.
		answers, err := l.Submit(context.WithoutCancel(ctx), []ledger.Vote{vote})
		if err != nil {
			return err
		}
		if answers[0].Err != nil {
			return fmt.Errorf("vote %s: %w", vote.Key, answers[0].Err)
		}
		doc.Live++
		for _, t := range answers[0].Triggered {
			if t.Deferred == "" {
				doc.Triggered[string(t.Reason)]++
			}
			c.tell(m, &vote, &t)
		}
	}
}

// history registers the NFTs and casts the votes of the past, unless the
// database has votes already.
func (c *demoCommand) history(ctx context.Context, m *Main, game *sample.Game) error {
	var counts store.Counts
	err := m.store.View(ctx, func(v store.View) (err error) {
		counts, err = v.Counts(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking at the database: %w", err)
	}
	if counts.Votes > 0 {
		return nil
	}
	nfts := slices.Collect(game.NFTs())
	p := m.progress("NFTs", int64(len(nfts)))
	for part := range slices.Chunk(nfts, 5000) {
		if _, err := m.store.PutNFTs(ctx, part, false, m.Now()); err != nil {
			p.end()
			return fmt.Errorf("registering NFTs: %w", err)
		}
		p.add(int64(len(part)))
	}
	p.end()
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	l := m.newLedger(policy)
	doc := sampleDoc{}
	err = doc.cast(ctx, m, l, slices.Collect(game.History()))
	err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	m.endRecorder() // the service has its own
	return err
}

// tell prints a computation as it happens.
func (c *demoCommand) tell(m *Main, v *ledger.Vote, t *ledger.Triggered) {
	if m.cli.JSON {
		return
	}
	score := "no score any more"
	if t.Score != nil {
		score = fmt.Sprintf("POA %.2f", t.Score.POA)
	} else if t.Deferred != "" {
		score = t.Deferred
	}
	m.printf("%s  %-8s by %s  %-20s  %s, %s priority: %s\n", m.Now().Format(time.TimeOnly), voteWord(v), short(v.Voter), t.NFT, reasonText(t.Decision), t.Priority, score)
}

// short is the beginning of a wallet address.
func short(voter string) string {
	const shown = 8
	if len(voter) <= shown {
		return voter
	}
	return voter[:shown] + "…"
}

// voteWord names the kind of a vote.
func voteWord(v *ledger.Vote) string {
	switch {
	case v.Super:
		return "super"
	case v.Kind == scoring.Fire:
		return "FIRE"
	}
	return v.Kind.String()
}

func (d *demoDoc) print(ctx context.Context, m *Main) error {
	err := m.store.View(ctx, func(v store.View) error {
		counts, err := v.Counts(ctx)
		if err != nil {
			return err
		}
		d.NFTs, d.Votes = counts.NFTs, counts.Votes
		collections, err := v.Collections(ctx)
		for _, c := range collections {
			d.Scored += c.Scored
			d.Ready += c.Ready
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the summary: %w", err)
	}
	if m.cli.JSON {
		return m.printJSON(d)
	}
	reasons := slices.SortedFunc(maps.Keys(d.Triggered), func(a, b string) int {
		return cmp.Or(d.Triggered[b]-d.Triggered[a], cmp.Compare(a, b))
	})
	for i, r := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", d.Triggered[r], strings.ReplaceAll(r, "_", " "))
	}
	if len(reasons) == 0 {
		reasons = []string{"none"}
	}
	m.printf("\n%s live; computed at once: %s\n", plural(int64(d.Live), "vote"), strings.Join(reasons, ", "))
	m.printf("%s and %s cast: %s scored, %s waiting for the next batch\n", plural(d.NFTs, "NFT"), plural(d.Votes, "vote"), grouped(d.Scored), grouped(d.Ready))
	m.printf("look around: %s\n", m.line("top"))
	return nil
}
