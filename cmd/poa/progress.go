package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress tells on standard error how far a long work is: as a bar with rate
// and time left on a terminal, as a line every few seconds elsewhere, and not
// at all beside JSON.
type progress struct {
	terminal io.Writer                // nil without one
	bar      *progressbar.ProgressBar // nil before the first set
	lines    io.Writer                // nil where no lines are to be written

	what        string // things that are counted, such as "votes"
	count       int64
	done, total int64 // share of the work, in things or bytes; total is 0 where it is not known
	now         func() time.Time
	start, last time.Time
}

// lineEvery is the pause between lines.
const lineEvery = 5 * time.Second

// progress starts to tell of a work on total things, 0 where that is not known.
func (m *Main) progress(what string, total int64) *progress {
	now := m.Now()
	p := &progress{what: what, total: total, now: m.Now, start: now, last: now}
	switch {
	case m.cli.JSON:
	case m.isTerminal(m.Stderr):
		p.terminal = m.Stderr
	default:
		p.lines = m.errs
	}
	return p
}

// add tells that n more things are done.
func (p *progress) add(n int64) { p.set(p.count+n, p.count+n, p.total) }

// set tells that count things are done, and that this is the given share of
// the whole work.
func (p *progress) set(count, done, total int64) {
	p.count, p.done, p.total = count, done, total
	now := p.now()
	switch {
	case p.terminal != nil:
		p.draw(now)
	case p.lines != nil && now.Sub(p.last) >= lineEvery:
		p.last = now
		fmt.Fprintln(p.lines, p.line(now))
	}
}

// draw brings the bar up to date; one that cannot be drawn stops no work.
func (p *progress) draw(now time.Time) {
	if p.bar == nil {
		length := p.total
		if length == 0 {
			length = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(length,
			progressbar.OptionSetWriter(p.terminal), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
		)
	}
	p.bar.Describe(fmt.Sprintf("%s %s, %s/s", grouped(p.count), p.what, grouped(int64(p.rate(now)))))
	_ = p.bar.Set64(p.done)
}

func (p *progress) rate(now time.Time) float64 {
	elapsed := now.Sub(p.start).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return float64(p.count) / elapsed
}

// line tells count, share, rate and time left.
func (p *progress) line(now time.Time) string {
	line := fmt.Sprintf("%s %s", grouped(p.count), p.what)
	if p.total > 0 {
		line += fmt.Sprintf(", %d %%", p.done*100/p.total)
	}
	line += fmt.Sprintf(", %s/s", grouped(int64(p.rate(now))))
	if p.total > 0 && p.done > 0 {
		left := float64(now.Sub(p.start)) * float64(p.total-p.done) / float64(p.done)
		line += fmt.Sprintf(", %v left", time.Duration(left).Round(time.Second))
	}
	return line
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
