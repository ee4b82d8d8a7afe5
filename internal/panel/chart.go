package panel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// chartData is what a chart draws: values over times, or over labels.
type chartData struct {
	Times   []int64       `json:"times"`            // seconds, ascending; with Labels 0, 1, 2, …
	Labels  []string      `json:"labels,omitempty"` // of a chart that is not over time
	Unit    string        `json:"unit,omitempty"`   // ms, %, votes
	Range   []*float64    `json:"range,omitempty"`  // lowest and highest, nil for what the values need
	Stacked bool          `json:"stacked,omitempty"`
	Series  []chartSeries `json:"series"`
	// Bands fill between two series: their numbers, and a colour.
	Bands [][3]any `json:"bands,omitempty"`
}

// chartSeries is one line of a chart. Kind is line, area, bars, points, or edge
// for the border of a band; Color is s1 to s6, "" for the next.
type chartSeries struct {
	Name   string     `json:"name"`
	Kind   string     `json:"kind,omitempty"`
	Color  string     `json:"color,omitempty"`
	Unit   string     `json:"unit,omitempty"`
	Step   bool       `json:"step,omitempty"`
	Join   bool       `json:"join,omitempty"` // across values that are missing
	Dash   bool       `json:"dash,omitempty"`
	Values []*float64 `json:"values"`          // nil: none
	Total  *float64   `json:"total,omitempty"` // shown while no point is pointed at
}

// json answers with JSON that no other site can read.
func (p *Panel) json(w http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing numbers: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the client may have gone
	return nil
}

// clock is the time, for what is rendered without a panel too.
func (p *Panel) clock() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}
