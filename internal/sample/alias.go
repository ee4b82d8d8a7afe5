package sample

import (
	"math"
	"math/rand/v2"
)

// alias draws indexes by given weights in constant time (Walker's alias
// method, in Vose's form).
type alias struct {
	keep  []float64 // probability of staying at an index once it was hit
	other []uint32  // where to go otherwise
}

// newAlias takes positive weights, at least one.
func newAlias(weights []float64) *alias {
	n := len(weights)
	t := &alias{keep: make([]float64, n), other: make([]uint32, n)}
	total := 0.0
	for _, w := range weights {
		total += w
	}
	var small, large []uint32
	for i, w := range weights {
		t.keep[i] = w * float64(n) / total
		if t.keep[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		t.other[s] = l
		t.keep[l] -= 1 - t.keep[s]
		if t.keep[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	// What is left is 1 but for rounding.
	for _, i := range append(small, large...) {
		t.keep[i] = 1
	}
	return t
}

// newZipf returns the law P(i) ∝ 1/(i+1)^s over n indexes, s ≥ 0.
func newZipf(n int, s float64) *alias {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -s)
	}
	return newAlias(weights)
}

func (t *alias) draw(rng *rand.Rand) int {
	i := rng.IntN(len(t.keep))
	if rng.Float64() < t.keep[i] {
		return i
	}
	return int(t.other[i])
}
