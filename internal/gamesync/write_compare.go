package gamesync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Comparison compares the game's own scores with those of a trial.
type Comparison struct {
	Old     int // NFTs with a score of the game's
	New     int // with one of the trial's
	Both    int
	OnlyOld int
	OnlyNew int

	// Of those with both. Correlations are nil where they do not exist: of fewer
	// than two NFTs, or where all scores of one side are equal.
	MeanOld, MeanNew  float64
	MeanDifference    float64 // new less old
	MeanAbsolute      float64 // of the differences' sizes
	Median, Ninetieth float64 // of the differences' sizes
	Pearson, Spearman *float64
	Largest           []Difference // the largest first
}

// Difference is an NFT with its two scores.
type Difference struct {
	ID, Name, Collection string
	Old, New             float64
}

// By is the new score less the old one.
func (d Difference) By() float64 { return d.New - d.Old }

// ErrNoTrial: there is no trial table in the game's database.
var ErrNoTrial = errors.New("there is no trial to compare with: the game's database has no table " + TrialTable)

// Compare reads the game's scores and those of the trial table, and keeps the
// largest differences, as many as top.
func Compare(ctx context.Context, url string, top int) (Comparison, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return Comparison{}, fmt.Errorf("connecting to the game's database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT n.id::text, COALESCE(n.name, ''), COALESCE(n.collection_name, ''), n.poa_v2::float8, t.poa_v2::float8
		FROM nfts n LEFT JOIN `+TrialTable+` t ON t.nft_id = n.id
		WHERE n.poa_v2 IS NOT NULL OR t.poa_v2 IS NOT NULL`)
	if err != nil {
		return Comparison{}, compareError(err)
	}
	var c comparing
	var d Difference
	var before, after *float64
	_, err = pgx.ForEachRow(rows, []any{&d.ID, &d.Name, &d.Collection, &before, &after}, func() error {
		c.add(d, before, after, top)
		return nil
	})
	if err != nil {
		return Comparison{}, compareError(err)
	}
	return c.result(top), nil
}

func compareError(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "42P01" {
		return ErrNoTrial
	}
	return fmt.Errorf("reading the scores of the game and the trial: %w", err)
}

// comparing is a comparison that is not finished.
type comparing struct {
	Comparison
	old, new []float64 // of those with both
}

func (c *comparing) add(d Difference, before, after *float64, top int) {
	if before != nil {
		c.Old++
	}
	if after != nil {
		c.New++
	}
	if before == nil || after == nil {
		return
	}
	c.old, c.new = append(c.old, *before), append(c.new, *after)
	d.Old, d.New = *before, *after
	c.Largest = append(c.Largest, d)
	if len(c.Largest) >= 2*top+100 {
		c.trim(top)
	}
}

// trim keeps the largest differences.
func (c *comparing) trim(top int) {
	slices.SortFunc(c.Largest, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(math.Abs(b.By()), math.Abs(a.By())), cmp.Compare(a.ID, b.ID))
	})
	c.Largest = c.Largest[:min(top, len(c.Largest))]
}

func (c *comparing) result(top int) Comparison {
	c.trim(top)
	c.Both = len(c.old)
	c.OnlyOld, c.OnlyNew = c.Old-c.Both, c.New-c.Both
	if c.Both == 0 {
		return c.Comparison
	}
	sizes := make([]float64, c.Both)
	for i := range sizes {
		sizes[i] = math.Abs(c.new[i] - c.old[i])
	}
	slices.Sort(sizes)
	c.MeanOld, c.MeanNew, c.MeanAbsolute = mean(c.old), mean(c.new), mean(sizes)
	c.MeanDifference = c.MeanNew - c.MeanOld
	c.Median, c.Ninetieth = quantile(sizes, 0.5), quantile(sizes, 0.9)
	c.Pearson = correlation(c.old, c.new)
	c.Spearman = correlation(ranks(c.old), ranks(c.new))
	return c.Comparison
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// quantile returns the value at a share of a sorted list, between its
// neighbours where it falls between two.
func quantile(sorted []float64, share float64) float64 {
	place := share * float64(len(sorted)-1)
	low := int(place)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (place-float64(low))*(sorted[high]-sorted[low])
}

// correlation returns Pearson's coefficient; nil where there is none.
func correlation(a, b []float64) *float64 {
	meanA, meanB := mean(a), mean(b)
	var ab, aa, bb float64
	for i := range a {
		x, y := a[i]-meanA, b[i]-meanB
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 || bb == 0 {
		return nil
	}
	r := min(1, max(-1, ab/math.Sqrt(aa*bb)))
	return &r
}

// ranks returns the rank of each value, from 1; equal ones share the mean of
// theirs.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(values[i], values[j]) })
	ranked := make([]float64, len(values))
	for first := 0; first < len(order); {
		last := first
		for last+1 < len(order) && values[order[last+1]] == values[order[first]] {
			last++
		}
		for _, i := range order[first : last+1] {
			ranked[i] = float64(first+last)/2 + 1
		}
		first = last + 1
	}
	return ranked
}
