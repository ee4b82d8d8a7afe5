package bench

import "fmt"

// The longest that 95 of 100 fetches of a page may take, in milliseconds.
const (
	mostPage      = 50.0
	mostPageCrowd = 150.0
)

// pageRows are the pages of the panel.
func pageRows(g *grid, most float64, of func(*Engine) []PageTimes) {
	if len(g.engines) == 0 {
		return
	}
	for i, page := range of(g.engines[0]) {
		g.row(page.Name, fmt.Sprintf("≤ %v ms", most), func(e *Engine) string {
			p := of(e)[i]
			return missed(fmt.Sprintf("%.1f (%.1f) ms", p.P95, p.P50), p.P95 > most)
		})
	}
}

// viewRows are open pages.
func viewRows(g *grid) {
	if len(g.engines) == 0 || len(g.engines[0].Service.Viewers) == 0 {
		return
	}
	list := g.engines[0].Service.Viewers
	for _, what := range []struct {
		name string
		of   func(*Viewing) float64
	}{
		{"idle", func(v *Viewing) float64 { return v.Idle }},
		{"with votes", func(v *Viewing) float64 { return v.Voting }},
	} {
		for i := range list {
			bar := ""
			if i == len(list)-1 {
				bar = "as with one of each"
			}
			g.row(fmt.Sprintf("%s, %d pages", what.name, list[i].Pages), bar, func(e *Engine) string {
				rate := what.of(&e.Service.Viewers[i])
				return missed(fmt.Sprintf("%.1f", rate), bar != "" && rate > mostMore*what.of(&e.Service.Viewers[i-1]))
			})
		}
	}
	for i := 1; i < len(list); i++ {
		g.row(fmt.Sprintf("refreshes with votes, %d pages", list[i].Pages), "", func(e *Engine) string { return thousands(e.Service.Viewers[i].Refreshes.Count) })
		g.row("  p95 (p50)", "", func(e *Engine) string {
			q := &e.Service.Viewers[i].Refreshes
			return fmt.Sprintf("%.1f (%.1f) ms", q.P95, q.P50)
		})
		g.row("  processor time of poa serve, of one core", "", func(e *Engine) string { return fmt.Sprintf("%.0f %%", 100*e.Service.Viewers[i].CPU) })
	}
}
