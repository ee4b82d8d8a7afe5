package panel

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"poa/internal/access"
	"poa/internal/overview"
	"poa/internal/samples"
	"poa/internal/store"
	"poa/internal/trigger"
)

func (p *Panel) overviewRoutes() []route {
	return []route{
		{"GET", "/{$}", access.View, p.showOverview},
		{"GET", "/charts/{name}", access.View, p.overviewChart},
	}
}

// overviewView is what the first page shows.
type overviewView struct {
	*overview.Overview
	Range samples.Range
}

// rangeOf reads how far back charts go; an hour where nothing is said.
func rangeOf(r *http.Request) (samples.Range, error) {
	of := samples.Range(r.URL.Query().Get("span"))
	if of == "" {
		return samples.Hour, nil
	}
	if !slices.Contains(samples.Ranges[:], of) {
		return "", invalid("Charts go back an hour, a day or a week, not %q.", string(of))
	}
	return of, nil
}

func rangeTabs(current samples.Range) []tab {
	var list []tab
	for _, r := range samples.Ranges {
		list = append(list, tab{sentence(string(r))[:len(r)], "/?span=" + string(r), r == current})
	}
	return list
}

func (p *Panel) showOverview(w http.ResponseWriter, r *http.Request) error {
	of, err := rangeOf(r)
	if err != nil {
		return err
	}
	read, err := p.Overview.Overview(r.Context())
	if err != nil {
		return fmt.Errorf("reading the overview: %w", err)
	}
	head := page{Title: "POA v2 scoring", Sub: "How fresh the scores are, and what keeps them so.", Charts: true}
	return p.render(w, r, head, overviewPage(overviewView{read, of}))
}

// chartPath is where the numbers of a chart are.
func (v *overviewView) chartPath(name string) string {
	return "/charts/" + name + "?span=" + string(v.Range)
}

// chartEvery is after how many seconds a chart is read again.
func (v *overviewView) chartEvery() int {
	if v.Range == samples.Hour {
		return 10
	}
	return 60
}

// oldest says how long the oldest vote without a score waits.
func (v *overviewView) oldest(now time.Time) string {
	if v.WaitingSince.IsZero() {
		return "–"
	}
	return span(now.Sub(v.WaitingSince).Truncate(time.Second))
}

// bins describes the distribution to those who do not see the chart.
func (v *overviewView) bins() string {
	most, at := int64(0), 0
	for i, n := range v.Distribution {
		if n > most {
			most, at = n, i
		}
	}
	if most == 0 {
		return "No scores yet."
	}
	return fmt.Sprintf("Most scores are from %d to %d.", 5*at, 5*at+5)
}

var (
	voteNames   = map[string]string{"matchup": "matchup", "super": "super", "slider": "slider", "fire": "FIRE", "unfire": "FIRE withdrawn", samples.History: "older than a day"}
	voteColors  = map[string]string{"matchup": "s1", "super": "s4", "slider": "s3", "fire": "s2", "unfire": "s6", samples.History: "s5"}
	reasonColor = map[string]string{
		string(trigger.Super): "s4", string(trigger.Fire): "s2", string(trigger.Milestone): "s1", string(trigger.HighActivity): "s5",
		store.ReasonBatch: "s3", store.ReasonManual: "s6", store.ReasonBackfill: "s6",
	}
	backlogNames  = map[string]string{"new": "no score yet", "due": "owed", "old": "old scores"}
	backlogColors = map[string]string{"new": "s1", "due": "s2", "old": "s5"}
)

func (p *Panel) overviewChart(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if name == "distribution" {
		read, err := p.Overview.Overview(r.Context())
		if err != nil {
			return fmt.Errorf("reading the distribution: %w", err)
		}
		return p.json(w, distributionChart(read.Distribution))
	}
	of, err := rangeOf(r)
	if err != nil {
		return err
	}
	charts, err := p.Overview.Samples.Charts(r.Context(), of)
	if err != nil {
		return fmt.Errorf("reading the charts: %w", err)
	}
	chart, err := chartOf(name, charts)
	if err != nil {
		return err
	}
	return p.json(w, chart)
}

// chartOf draws one of the charts over time.
func chartOf(name string, c *samples.Charts) (chartData, error) {
	d := chartData{Times: c.Times}
	switch name {
	case "votes":
		d.Stacked, d.Series = true, bars(c.Votes, voteNames, voteColors, 0)
	case "computations":
		names := map[string]string{}
		for _, l := range c.Computations {
			names[l.Name] = reasonWord(l.Name)
		}
		d.Stacked, d.Series = true, bars(c.Computations, names, reasonColor, 4)
	case "backlog":
		for _, l := range c.Backlog {
			d.Series = append(d.Series, chartSeries{Name: backlogNames[l.Name], Kind: "line", Color: backlogColors[l.Name], Join: true, Values: values(l.Values), Total: last(l.Values)})
		}
	case "latency":
		d.Unit = "ms"
		for i, l := range c.Latency {
			d.Series = append(d.Series, chartSeries{Name: []string{"half within", "99 of 100 within"}[i], Kind: "line", Color: []string{"s1", "s2"}[i], Join: true, Values: values(l.Values)})
		}
	default:
		return d, errNotFound
	}
	return d, nil
}

// bars are lines as stacked bars. The first few stay where they are all zero,
// others are left out.
func bars(lines []samples.Line, names, colors map[string]string, stay int) []chartSeries {
	var list []chartSeries
	for i, l := range lines {
		sum := 0.0
		for _, v := range l.Values {
			sum += v
		}
		if sum == 0 && i >= stay && stay > 0 {
			continue
		}
		name := names[l.Name]
		if name == "" {
			name = words(l.Name)
		}
		list = append(list, chartSeries{Name: name, Kind: "bars", Color: colors[l.Name], Values: values(l.Values), Total: &sum})
	}
	return list
}

// values are numbers for a chart, nil where there is none.
func values(list []float64) []*float64 {
	out := make([]*float64, len(list))
	for i := range list {
		if !math.IsNaN(list[i]) {
			out[i] = &list[i]
		}
	}
	return out
}

// last is the last value there is, nil for none.
func last(list []float64) *float64 {
	for i := range slices.Backward(list) {
		if !math.IsNaN(list[i]) {
			return &list[i]
		}
	}
	return nil
}

// distributionChart shows how many scores are in each bin.
func distributionChart(b store.Bins) chartData {
	d := chartData{}
	scores := chartSeries{Name: "scores", Kind: "bars", Color: "s1"}
	total := 0.0
	for i, n := range b {
		d.Times = append(d.Times, int64(i))
		d.Labels = append(d.Labels, strconv.Itoa(5*i)+"–"+strconv.Itoa(5*i+5))
		v := float64(n)
		scores.Values = append(scores.Values, &v)
		total += v
	}
	scores.Total = &total
	d.Series = []chartSeries{scores}
	return d
}

// basisWord says how a score was computed.
func basisWord(b store.Basis) string {
	if b == store.Exact {
		return "exact"
	}
	return "incremental"
}
