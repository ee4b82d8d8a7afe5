package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"poa/internal/config"
	"poa/internal/gamesync"
	"poa/internal/ledger"
	"poa/internal/settings"
	"poa/internal/store"
)

type syncCommand struct {
	From        string `placeholder:"URL" help:"Database of the game: a postgres:// URL of a role that may SELECT its tables. Better in POA_SYNC_FROM, which other users of this machine cannot see. [sync.from]"`
	SliderScale string `placeholder:"10|100" help:"What the game's slider runs to: 10 (ratings from 1 to 10) or 100 (from 0 to 100). [sync.slider_scale]"`
	Once        bool   `help:"Read what there is and end, instead of following what is new."`
}

// flags are the settings given on the command line.
func (c *syncCommand) flags() []config.Flag {
	var flags []config.Flag
	for _, f := range []config.Flag{
		{Flag: "--from", Setting: "sync.from", Value: c.From}, {Flag: "--slider-scale", Setting: "sync.slider_scale", Value: c.SliderScale},
	} {
		if f.Value != "" {
			flags = append(flags, f)
		}
	}
	return flags
}

// reportEvery is the pause between two lines about what was followed.
const reportEvery = time.Minute

func (c *syncCommand) Run(ctx context.Context, m *Main) error {
	switch s := m.config.Sync; {
	case s.From == "":
		return usageError{errors.New("say where the game's database is: --from URL, or POA_SYNC_FROM")}
	case s.SliderScale == 0:
		return usageError{errors.New("say what the game's slider runs to: --slider-scale 10 (ratings from 1 to 10) or --slider-scale 100 (from 0 to 100)")}
	}
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	inForce, err := m.openSettings(ctx)
	if err != nil {
		return err
	}
	// As in an import: a page of an index is written once for all its votes.
	votes := importFold * m.config.Ledger.MaxCommit
	l := m.newLedgerOf(inForce.Current().Policy, votes, votes)
	inForce.OnChange(func(in *settings.InForce) { l.SetPolicy(in.Policy) })
	inForce.Start()
	defer inForce.Stop()
	rejected, err := c.sync(ctx, m, l)
	// The ledger drains even where ctx has ended.
	if err = errors.Join(err, l.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if rejected && c.Once {
		return findings{}
	}
	return nil
}

// sync follows the game and tells how it goes.
func (c *syncCommand) sync(ctx context.Context, m *Main, l *ledger.Ledger) (rejected bool, err error) {
	p := m.progress("rows", 0)
	defer p.end()
	began := m.Now()
	s, err := m.newSyncer(l, func(at gamesync.Progress) { p.set(at.Rows, at.Rows, at.Total) })
	if err != nil {
		return false, err
	}
	if err := s.Check(ctx); err != nil {
		return false, gameHint(err)
	}
	if c.Once {
		err = s.Once(ctx)
	} else {
		telling, stop := context.WithCancel(ctx)
		var told sync.WaitGroup
		told.Go(func() { m.tellSync(telling, s, p) })
		err = s.Run(ctx)
		stop()
		told.Wait()
	}
	p.end()
	st := s.Status()
	if err == nil || st.Rows > 0 {
		err = errors.Join(gameHint(err), m.showSync(st, m.Now().Sub(began)))
	}
	return st.Rejected > 0, gameHint(err)
}

// gameHint says what to try about an error of the game's database.
func gameHint(err error) error {
	if gamesync.Refused(err) {
		return withHint(err, "give a role that may SELECT nfts, users, votes and favorites, past row-level security (BYPASSRLS), of the game's own database")
	}
	return err
}

// newSyncer puts together what follows the game.
func (m *Main) newSyncer(l *ledger.Ledger, progress func(gamesync.Progress)) (*gamesync.Syncer, error) {
	return gamesync.New(gamesync.Options{
		Store: m.store.(store.Sync), Ledger: l, Settings: m.config.Sync, Process: processName(), Progress: progress, Now: m.Now, Log: m.log,
	})
}

// tellSync writes a line when everything was read, and then one every minute.
func (m *Main) tellSync(ctx context.Context, s *gamesync.Syncer, p *progress) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var told gamesync.Status
	var last time.Time // zero until everything was read
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, now := s.Status(), m.Now()
		if m.cli.JSON || last.IsZero() && st.Stage != gamesync.Following || now.Sub(last) < reportEvery {
			continue
		}
		if last.IsZero() {
			p.end()
			m.printf("everything is read; following the game\n")
		}
		m.printf("%s: %s, %s withdrawn, %s rejected; %s\n", stamp(now), plural(st.Recorded-told.Recorded, "new vote"),
			grouped(st.Withdrawn-told.Withdrawn), grouped(st.Rejected-told.Rejected), behind(&st, now))
		told, last = st, now
	}
}

// behind tells the lag.
func behind(st *gamesync.Status, now time.Time) string {
	if lag, ok := st.Lag(now); ok {
		return fmt.Sprintf("%.1f s behind", lag.Seconds())
	}
	return "the game is not followed now: " + string(st.Stage)
}

// syncDoc is what a sync did, and what it cost the game's database.
type syncDoc struct {
	gamesync.Status
	StatementsPerVote       float64       `json:"statements_per_vote"`
	IdleStatementsPerMinute float64       `json:"idle_statements_per_minute"` // of looking for new rows
	Elapsed                 time.Duration `json:"elapsed_ns"`
}

// showSync prints what a sync did.
func (m *Main) showSync(st gamesync.Status, elapsed time.Duration) error {
	doc := syncDoc{Status: st, Elapsed: elapsed}
	cost := st.Statements
	if st.Recorded > 0 {
		doc.StatementsPerVote = float64(cost.Total) / float64(st.Recorded)
	}
	if cost.Looks > 0 {
		doc.IdleStatementsPerMinute = float64(cost.Idle) / float64(cost.Looks) * float64(time.Minute) / float64(m.config.Sync.Poll)
	}
	if m.cli.JSON {
		return m.printJSON(doc)
	}
	m.printf("%s read in %.1f s: %s new, %s known before, %s late, %s withdrawn, %s rejected\n", plural(st.Rows, "row"), elapsed.Seconds(),
		plural(st.Recorded, "vote"), grouped(st.Duplicates), grouped(st.Late), grouped(st.Withdrawn), grouped(st.Rejected))
	m.printf("  %s new, %s changed; computed at once: %s\n", plural(st.NFTs, "NFT"), grouped(st.NFTsChanged), tally(st.Triggered, "none"))
	m.printf("  the game's database was sent %s: %.4f a vote, %.0f a minute while nothing is new\n",
		plural(cost.Total, "statement"), doc.StatementsPerVote, doc.IdleStatementsPerMinute)
	if st.Rejected > 0 {
		m.printf("  rejected: %s\n", tally(st.ByCode, ""))
	}
	return nil
}

// following follows the game beside a service. A nil one does nothing.
type following struct {
	syncer *gamesync.Syncer
	main   *Main
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended; nil before start
}

func (m *Main) newFollowing(l *ledger.Ledger) (*following, error) {
	s, err := m.newSyncer(l, nil)
	if err != nil {
		return nil, err
	}
	return &following{syncer: s, main: m}, nil
}

// status returns what tells how it goes, nil for nothing.
func (f *following) status() func() gamesync.Status {
	if f == nil {
		return nil
	}
	return f.syncer.Status
}

func (f *following) start() {
	if f == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.done = cancel, make(chan struct{})
	go func() {
		defer close(f.done)
		if err := f.syncer.Run(ctx); err != nil { // the service goes on without
			f.main.log.Error("the game is not followed; correct this and start again", "err", err)
		}
	}()
}

func (f *following) stop() {
	if f == nil || f.done == nil {
		return
	}
	f.cancel()
	<-f.done
}
