package gamesync

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComparing(t *testing.T) {
	number := func(x float64) *float64 { return &x }
	var c comparing
	for i, pair := range [][2]*float64{
		{number(10), number(12)}, {number(20), number(15)}, {number(30), number(40)}, {number(40), number(41)}, {number(50), number(41)},
		{number(60), nil}, {nil, number(70)}, {nil, number(80)},
	} {
		c.add(Difference{ID: fmt.Sprint(i)}, pair[0], pair[1], 2)
	}
	got := c.result(2)
	pearson, spearman := *got.Pearson, *got.Spearman
	got.Pearson, got.Spearman = nil, nil
	want := Comparison{
		Old: 6, New: 7, Both: 5, OnlyOld: 1, OnlyNew: 2, MeanOld: 30, MeanNew: 29.8, MeanDifference: 29.8 - 30, MeanAbsolute: 5.4, Median: 5, Ninetieth: 9.6,
		Largest: []Difference{{ID: "2", Old: 30, New: 40}, {ID: "4", Old: 50, New: 41}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })); diff != "" {
		t.Error(diff)
	}
	// By hand: sums of products and squares about the means; ranks 1 2 3 4.5 4.5.
	if want := 840 / math.Sqrt(1000*890.8); math.Abs(pearson-want) > 1e-12 {
		t.Errorf("Pearson %v, want %v", pearson, want)
	}
	if want := 9.5 / math.Sqrt(10*9.5); math.Abs(spearman-want) > 1e-12 {
		t.Errorf("Spearman %v, want %v", spearman, want)
	}
}

func TestComparingFewOrEqual(t *testing.T) {
	var none comparing
	if got := none.result(5); got.Both != 0 || got.Pearson != nil || len(got.Largest) != 0 {
		t.Errorf("of none: %+v", got)
	}
	var equal comparing
	for i := range 3 {
		x := float64(i)
		same := 7.0
		equal.add(Difference{ID: fmt.Sprint(i)}, &x, &same, 5)
	}
	if got := equal.result(5); got.Pearson != nil || got.Spearman != nil || got.Both != 3 || len(got.Largest) != 3 {
		t.Errorf("of equal ones: %+v", got)
	}
}

// Of more than are held at a time the largest remain.
func TestComparingMany(t *testing.T) {
	var c comparing
	zero := 0.0
	for i := range 1000 {
		x := float64((i * 7919) % 1000)
		c.add(Difference{ID: fmt.Sprint(i)}, &zero, &x, 3)
	}
	got := c.result(3)
	for i, d := range got.Largest {
		if d.By() != float64(999-i) {
			t.Errorf("the largest are %+v", got.Largest)
		}
	}
	if len(got.Largest) != 3 {
		t.Errorf("%d differences", len(got.Largest))
	}
}
