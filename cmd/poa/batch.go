package main

import (
	"context"
	"fmt"
	"time"

	"poa/internal/batch"
	"poa/internal/outlook"
	"poa/internal/scheduler"
	"poa/internal/store"
)

type batchCommand struct {
	Plan batchPlanCommand `cmd:"" help:"Show what the next batch would do: which NFTs and why, what it costs, and how long until the whole backlog is covered."`
}

type batchPlanCommand struct {
	Collection *string `placeholder:"NAME" help:"Of a run on this collection alone."`
}

func (c *batchPlanCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	if c.Collection != nil {
		err := m.store.View(ctx, func(v store.View) error { return knownCollection(ctx, v, c.Collection) })
		if err != nil {
			return err
		}
	}
	set, err := m.openSettings(ctx)
	if err != nil {
		return err
	}
	in := set.Current()
	planner := scheduler.New(scheduler.Options{Store: m.service(), Settings: set.Current, Now: m.Now, Log: m.log})
	backlog, err := outlook.Backlog(ctx, m.service(), in, m.Now())
	if err != nil {
		return err
	}
	next, err := outlook.Next(ctx, m.service(), planner, in, backlog, c.Collection, m.Now())
	if err != nil {
		return err
	}
	paused := ""
	if in.Batches.On(m.Now()) {
		paused = in.Batches.Reason
	}
	if m.cli.JSON {
		return m.printJSON(asPlanDoc(&next, paused))
	}
	m.printPlan(&next, in.Batch, paused)
	return nil
}

type planDoc struct {
	Window   batch.Window  `json:"window"`
	Paused   string        `json:"paused,omitempty"` // why
	Items    []planItemDoc `json:"items"`
	Work     float64       `json:"work_seconds"`
	Pauses   float64       `json:"pause_seconds"`
	Total    float64       `json:"total_seconds"`
	Left     int           `json:"left"`
	Backlog  batch.Backlog `json:"backlog"`
	Runs     int64         `json:"runs_to_cover"`
	Coverage float64       `json:"covered_after_seconds"`
}

type planItemDoc struct {
	NFT        string `json:"nft"`
	Collection string `json:"collection"`
	Class      string `json:"class"`
	Why        string `json:"why"`
	Votes      int64  `json:"votes"`
}

func asPlanDoc(r *outlook.Run, paused string) planDoc {
	d := planDoc{
		Window: r.Window, Paused: paused, Items: make([]planItemDoc, len(r.Items)),
		Work: r.Cost.Work.Seconds(), Pauses: r.Cost.Pauses.Seconds(), Total: r.Cost.Total.Seconds(), Left: r.Cost.Left,
		Backlog: batch.Backlog{New: r.Backlog.New, Due: r.Backlog.Due, Old: r.Backlog.Old}, Runs: r.Coverage.Runs, Coverage: r.Coverage.All.Seconds(),
	}
	for i, item := range r.Items {
		d.Items[i] = planItemDoc{item.ID, item.Collection, string(item.Class), item.Reason, item.Votes}
	}
	return d
}

func (m *Main) printPlan(r *outlook.Run, s batch.Settings, paused string) {
	if paused != "" {
		m.printf("Batches are paused: %s\n", clean(paused))
	}
	m.printf("The next batch is that of %s.\n", stamp(r.Window.Start))
	if len(r.Items) == 0 {
		m.printf("It has nothing to do: no score is missing, due or old.\n")
		return
	}
	t := newTable(">#", "~NFT", "~COLLECTION", "CLASS", ">VOTES", "~WHY")
	for i, item := range r.Items {
		t.add(fmt.Sprint(i+1), item.ID, item.Collection, string(item.Class), grouped(item.Votes), item.Reason)
	}
	m.printf("\n")
	m.printTable(t)
	m.printf("\nIt takes about %s: %s of computing and %s of pauses, in mode %s.\n",
		round(r.Cost.Total), round(r.Cost.Work), round(r.Cost.Pauses), s.Mode)
	if r.Cost.Left > 0 {
		m.printf("%s of them do not fit into the %s it may take and are left to the next one.\n", grouped(int64(r.Cost.Left)), s.Cap)
	}
	m.printf("In all %s without a score, %s due and %s old: covered after %s, about %s.\n",
		plural(r.Backlog.New, "NFT"), grouped(r.Backlog.Due), grouped(r.Backlog.Old), plural(r.Coverage.Runs, "run"), round(r.Coverage.All))
}

// round rounds a time for people.
func round(d time.Duration) time.Duration {
	if d >= time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(10 * time.Millisecond)
}
