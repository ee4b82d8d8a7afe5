package panel

import (
	"encoding/json"
	"net/http"
	"testing"

	"poa/internal/store"
)

func TestOverview(t *testing.T) {
	s := open(t)
	v := s.sign(store.Viewer, "vera")
	empty := v.get("/", http.StatusOK)
	empty.holds(t, "POA v2 scoring", "No scores yet", `data-chart="/charts/votes?span=hour"`)

	s.cast(super())
	later(s)
	page := v.get("/?span=week", http.StatusOK)
	page.holds(t, `data-chart="/charts/latency?span=week"`, `hx-get="/?span=week"`)
	for span, want := range map[string]int{"": 200, "hour": 200, "day": 200, "week": 200, "year": 422} {
		v.get("/?span="+span, want)
		v.get("/charts/votes?span="+span, want)
	}
	v.get("/charts/nothing", http.StatusNotFound)
}

func TestCharts(t *testing.T) {
	s := open(t)
	v := s.sign(store.Viewer, "vera")
	for name, want := range map[string]struct{ points, series int }{
		"votes?span=hour": {60, 5}, "computations?span=day": {144, 4}, "backlog?span=week": {168, 3}, "latency?span=hour": {60, 2}, "distribution": {20, 1},
	} {
		got := v.get("/charts/"+name, http.StatusOK)
		var d chartData
		must(t, json.Unmarshal([]byte(got.body), &d))
		if len(d.Times) != want.points || len(d.Series) != want.series {
			t.Errorf("%s has %d points and %d series, want %d and %d", name, len(d.Times), len(d.Series), want.points, want.series)
		}
		for _, series := range d.Series {
			if len(series.Values) != want.points || series.Name == "" {
				t.Errorf("%s has a series %q of %d points", name, series.Name, len(series.Values))
			}
		}
	}
}

func TestDistributionChart(t *testing.T) {
	d := distributionChart(store.Bins{3: 7, 19: 2})
	if *d.Series[0].Values[3] != 7 || *d.Series[0].Values[19] != 2 || *d.Series[0].Total != 9 || d.Labels[19] != "95–100" {
		t.Errorf("got %v, total %v, labels %v", d.Series[0].Values, *d.Series[0].Total, d.Labels)
	}
}
