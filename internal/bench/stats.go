package bench

import (
	"math"
	"slices"
	"time"
)

// Spread is the median of several measurements with their extremes.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spread returns the spread of at least one value.
func spread(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// Quantiles are of durations, in milliseconds.
type Quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// quantiles returns those of durations; zeros for none.
func quantiles(durations []time.Duration) Quantiles {
	sorted := slices.Sorted(slices.Values(durations))
	n := len(sorted)
	if n == 0 {
		return Quantiles{}
	}
	at := func(q float64) float64 { // nearest rank
		return milliseconds(sorted[max(int(math.Ceil(q*float64(n))), 1)-1])
	}
	return Quantiles{Count: n, P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: at(1)}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
