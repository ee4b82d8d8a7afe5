package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"poa/internal/config"
	"poa/internal/gamesync"
	"poa/internal/store"
)

type writebackCommand struct {
	To string `placeholder:"URL" help:"Database of the game: a postgres:// URL of a role that may write its score columns. Better in POA_WRITEBACK_TO, which other users of this machine cannot see. [writeback.to]"`

	Trial   writebackTrialCommand   `cmd:"" help:"Write all scores into the table poa_trial beside the game's, and compare them with the game's own."`
	Compare writebackCompareCommand `cmd:"" help:"Compare the game's own scores with those of the trial."`
	Start   writebackRunCommand     `cmd:"" name:"run" help:"Write scores into the game's own columns: those there are, then each that changes."`
}

// flags are the settings given on the command line.
func (c *writebackCommand) flags() []config.Flag {
	if c.To == "" {
		return nil
	}
	return []config.Flag{{Flag: "--to", Setting: "writeback.to", Value: c.To}}
}

// writebackTo returns where the game's database is.
func (m *Main) writebackTo() (string, error) {
	if to := m.config.Writeback.To; to != "" {
		return to, nil
	}
	return "", usageError{errors.New("say where the game's database is: --to URL, or POA_WRITEBACK_TO")}
}

// newWriteback puts together what writes scores back, in a mode.
func (m *Main) newWriteback(ctx context.Context, mode string, all bool, pass func(done, total int64)) (*gamesync.Writeback, error) {
	s := m.config.Writeback
	s.Mode = mode
	return gamesync.NewWriteback(ctx, gamesync.WriteOptions{
		Store: m.store.(store.Writeback), Settings: s, All: all, Process: processName(), Pass: pass, Now: m.Now, Log: m.log,
	})
}

type writebackTrialCommand struct {
	Top int `default:"10" placeholder:"N" help:"How many of the largest differences are shown. [10]"`
}

func (c *writebackTrialCommand) Run(ctx context.Context, m *Main) error {
	to, err := m.writebackTo()
	if err != nil {
		return err
	}
	stats, elapsed, err := m.drainWriteback(ctx, gamesync.WriteTrial, true)
	if err != nil {
		return err
	}
	if !m.cli.JSON {
		m.showWriteback(stats, elapsed)
		m.printf("\n")
	}
	return m.compareScores(ctx, to, c.Top)
}

type writebackCompareCommand struct {
	Top int `default:"10" placeholder:"N" help:"How many of the largest differences are shown. [10]"`
}

func (c *writebackCompareCommand) Run(ctx context.Context, m *Main) error {
	to, err := m.writebackTo()
	if err != nil {
		return err
	}
	return m.compareScores(ctx, to, c.Top)
}

type writebackRunCommand struct {
	Once bool `help:"Write what there is and end, instead of following what changes."`
	All  bool `help:"Compare all scores with the game's first, also if that was done: after the game's tables were restored or written by others."`
}

func (c *writebackRunCommand) Run(ctx context.Context, m *Main) error {
	if _, err := m.writebackTo(); err != nil {
		return err
	}
	if !c.Once {
		return m.runWriteback(ctx, c.All)
	}
	stats, elapsed, err := m.drainWriteback(ctx, gamesync.WriteOn, c.All)
	if err != nil {
		return err
	}
	if m.cli.JSON {
		err = m.printJSON(asWritebackDoc(stats, elapsed))
	} else {
		m.showWriteback(stats, elapsed)
	}
	if err == nil && len(stats.Waiting) > 0 {
		return findings{}
	}
	return err
}

// drainWriteback writes what can be written now.
func (m *Main) drainWriteback(ctx context.Context, mode string, all bool) (gamesync.WriteStats, time.Duration, error) {
	if err := m.openToRead(ctx); err != nil {
		return gamesync.WriteStats{}, 0, err
	}
	p := m.progress("NFTs", 0)
	defer p.end()
	began := m.Now()
	w, err := m.newWriteback(ctx, mode, all, func(done, total int64) { p.set(done, done, total) })
	if err != nil {
		return gamesync.WriteStats{}, 0, err
	}
	defer w.Stop()
	err = writebackHint(w.Drain(ctx))
	return w.Stats(), m.Now().Sub(began), err
}

// writebackHint says what to try about an error of the write-back.
func writebackHint(err error) error {
	held, missing := (*gamesync.HeldError)(nil), (*gamesync.MissingError)(nil)
	switch {
	case errors.As(err, &held):
		return withHint(err, "stop that process, or leave it to it: it writes the same scores")
	case errors.As(err, &missing):
		return withHint(err, "have the owner of the game's tables run that")
	}
	return err
}

// runWriteback writes until ctx ends, and tells of it every minute.
func (m *Main) runWriteback(ctx context.Context, all bool) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	began := m.Now()
	w, err := m.newWriteback(ctx, gamesync.WriteOn, all, nil)
	if err != nil {
		return err
	}
	defer w.Stop()
	telling, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	if !m.cli.JSON {
		m.printf("writing scores to %s\n", w.Stats().Target)
		told.Go(func() { m.tellWriteback(telling, w) })
	}
	w.Run(ctx)
	stop()
	told.Wait()
	if m.cli.JSON {
		return m.printJSON(asWritebackDoc(w.Stats(), m.Now().Sub(began)))
	}
	m.showWriteback(w.Stats(), m.Now().Sub(began))
	return nil
}

// tellWriteback writes a line every minute.
func (m *Main) tellWriteback(ctx context.Context, w *gamesync.Writeback) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var told gamesync.WriteStats
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := w.Stats()
		state := fmt.Sprintf("%.1f s behind", s.Lag.Seconds())
		if !s.Active {
			state = "another process writes, or it cannot be written now"
		}
		m.printf("%s: %s written; %s\n", stamp(m.Now()), plural(s.Written-told.Written, "score"), state)
		told = s
	}
}

// showWriteback prints what was done.
func (m *Main) showWriteback(s gamesync.WriteStats, elapsed time.Duration) {
	m.printf("%s written to %s in %.1f s: %s as they were, %s with newer values kept\n",
		plural(s.Written, "score"), s.Target, elapsed.Seconds(), grouped(s.Unchanged), grouped(s.Newer))
	m.printf("  the game's database was sent %s\n", plural(s.Statements, "statement"))
	for _, left := range []struct {
		reason store.UnwrittenReason
		words  string
	}{
		{store.UnwrittenMissing, "not in the game's table"}, {store.UnwrittenFailed, "refused by the game's database; they are tried again"},
		{store.UnwrittenLocked, "held by the game; they are tried again"},
	} {
		if n := s.Waiting[left.reason]; n > 0 {
			m.printf("  %s %s\n", plural(n, "NFT"), left.words)
		}
	}
}

// writebackDoc is what a write-back did, and what it cost the game's database.
type writebackDoc struct {
	Target     string                          `json:"target"`
	Complete   bool                            `json:"complete"`
	Written    int64                           `json:"written"`
	Unchanged  int64                           `json:"unchanged"`
	Newer      int64                           `json:"newer"`
	Locked     int64                           `json:"locked"`
	Missing    int64                           `json:"missing"`
	Failed     int64                           `json:"failed"`
	Waiting    map[store.UnwrittenReason]int64 `json:"waiting"`
	Statements int64                           `json:"statements"`
	Elapsed    time.Duration                   `json:"elapsed_ns"`
}

func asWritebackDoc(s gamesync.WriteStats, elapsed time.Duration) writebackDoc {
	return writebackDoc{
		Target: s.Target, Complete: s.Complete, Written: s.Written, Unchanged: s.Unchanged, Newer: s.Newer, Locked: s.Locked, Missing: s.Missing,
		Failed: s.Failed, Waiting: s.Waiting, Statements: s.Statements, Elapsed: elapsed,
	}
}

// comparisonDoc is a comparison.
type comparisonDoc struct {
	Old            int             `json:"old"`
	New            int             `json:"new"`
	Both           int             `json:"both"`
	OnlyOld        int             `json:"only_old"`
	OnlyNew        int             `json:"only_new"`
	MeanOld        float64         `json:"mean_old"`
	MeanNew        float64         `json:"mean_new"`
	MeanDifference float64         `json:"mean_difference"`
	MeanAbsolute   float64         `json:"mean_absolute_difference"`
	Median         float64         `json:"median_absolute_difference"`
	Ninetieth      float64         `json:"p90_absolute_difference"`
	Pearson        *float64        `json:"pearson"`
	Spearman       *float64        `json:"spearman"`
	Largest        []differenceDoc `json:"largest_differences"`
}

type differenceDoc struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Collection string  `json:"collection"`
	Old        float64 `json:"old"`
	New        float64 `json:"new"`
	Difference float64 `json:"difference"`
}

// compareScores prints the comparison of the game's scores with the trial's.
func (m *Main) compareScores(ctx context.Context, to string, top int) error {
	if top < 0 {
		return usageError{fmt.Errorf("--top must not be below 0, is %d", top)}
	}
	c, err := gamesync.Compare(ctx, to, top)
	if errors.Is(err, gamesync.ErrNoTrial) {
		return withHint(err, "poa writeback trial")
	}
	if err != nil {
		return err
	}
	if m.cli.JSON {
		return m.printJSON(asComparisonDoc(c))
	}
	m.printf("%s with a score of the game, %s with one of poa, %s with both; %s only of the game, %s only of poa\n",
		plural(int64(c.Old), "NFT"), grouped(int64(c.New)), grouped(int64(c.Both)), grouped(int64(c.OnlyOld)), grouped(int64(c.OnlyNew)))
	if c.Both == 0 {
		return nil
	}
	m.printf("correlation of the two: %s (Pearson), %s of their ranks (Spearman)\n", coefficient(c.Pearson), coefficient(c.Spearman))
	m.printf("mean: %.2f old, %.2f new; a score differs by %.2f on average, by %.2f in the median, by %.2f or less in 90 of 100\n",
		c.MeanOld, c.MeanNew, c.MeanAbsolute, c.Median, c.Ninetieth)
	if len(c.Largest) == 0 {
		return nil
	}
	t := newTable("~NFT", "~collection", ">old", ">new", ">difference", "id")
	for _, d := range c.Largest {
		t.add(d.Name, d.Collection, fmt.Sprintf("%.2f", d.Old), fmt.Sprintf("%.2f", d.New), fmt.Sprintf("%+.2f", d.By()), d.ID)
	}
	m.printf("\n")
	m.printTable(t)
	return nil
}

func coefficient(r *float64) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("%.3f", *r)
}

func asComparisonDoc(c gamesync.Comparison) comparisonDoc {
	doc := comparisonDoc{
		Old: c.Old, New: c.New, Both: c.Both, OnlyOld: c.OnlyOld, OnlyNew: c.OnlyNew, MeanOld: c.MeanOld, MeanNew: c.MeanNew,
		MeanDifference: c.MeanDifference, MeanAbsolute: c.MeanAbsolute, Median: c.Median, Ninetieth: c.Ninetieth,
		Pearson: c.Pearson, Spearman: c.Spearman, Largest: []differenceDoc{},
	}
	for _, d := range c.Largest {
		doc.Largest = append(doc.Largest, differenceDoc{d.ID, d.Name, d.Collection, d.Old, d.New, d.By()})
	}
	return doc
}
