package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"poa/internal/exact"
	"poa/internal/operate"
	"poa/internal/publish"
	"poa/internal/store"
)

type computeCommand struct {
	NFTs       []string `arg:"" optional:"" name:"nft" help:"Ids of NFTs."`
	Collection *string  `placeholder:"NAME" help:"All NFTs of this collection."`
	All        bool     `help:"All NFTs."`
}

// largest is how many of the largest changes are shown.
const largest = 10

// computed counts what came of a computation.
type computed struct {
	Computed  int64       `json:"computed"`
	Unvoted   int64       `json:"unvoted"` // without a rating: nobody has voted on them
	New       int64       `json:"new"`
	Changed   int64       `json:"changed"` // by 0.01 or more
	Unchanged int64       `json:"unchanged"`
	Withdrawn int64       `json:"withdrawn"`
	Unscored  int64       `json:"unscored"` // nothing stands that could give a score
	Failed    int64       `json:"failed"`
	Largest   []changeDoc `json:"largest_changes"`
	Failures  []failure   `json:"failures"`
}

type changeDoc struct {
	NFT    string  `json:"nft"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

func (c changeDoc) size() float64 { return math.Abs(c.After - c.Before) }

type failure struct {
	NFT   string `json:"nft"`
	Error string `json:"error"`
}

func (c *computeCommand) check() error {
	given := 0
	for _, is := range []bool{len(c.NFTs) > 0, c.Collection != nil, c.All} {
		if is {
			given++
		}
	}
	if given > 1 {
		return usageError{errors.New("ids of NFTs, --collection NAME and --all each say what to compute: give one of them")}
	}
	if given == 0 {
		return usageError{errors.New("say what to compute: ids of NFTs, --collection NAME or --all")}
	}
	return nil
}

func (c *computeCommand) Run(ctx context.Context, m *Main) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	policy, err := m.policy(ctx)
	if err != nil {
		return err
	}
	sum := computed{Largest: []changeDoc{}, Failures: []failure{}}
	numbers, err := c.numbers(ctx, m, &sum)
	if err != nil {
		return err
	}
	p := m.progress("NFTs", int64(len(numbers)))
	cause := publish.Cause{Reason: store.ReasonManual, Who: who}
	counted := m.recorder()
	err = exact.ComputeAll(ctx, m.store, policy, numbers, cause, m.Now, func(results []exact.Result) {
		for _, r := range results {
			sum.add(r)
			counted.Computation(store.ReasonManual, operate.Outcome(&r), 1)
		}
		p.add(int64(len(results)))
	})
	p.end()
	if err != nil {
		return fmt.Errorf("computing, %s of %s done: %w", grouped(sum.Computed), plural(int64(len(numbers)), "NFT"), err)
	}
	if err := sum.print(m); err != nil {
		return err
	}
	if sum.Failed > 0 {
		return findings{}
	}
	return nil
}

// numbers returns the numbers of the NFTs that are meant and have a rating.
func (c *computeCommand) numbers(ctx context.Context, m *Main, sum *computed) (numbers []int64, err error) {
	err = m.store.View(ctx, func(v store.View) error {
		if len(c.NFTs) > 0 {
			numbers, err = named(ctx, v, c.NFTs, sum)
			return err
		}
		if err := knownCollection(ctx, v, c.Collection); err != nil {
			return err
		}
		after := int64(0)
		for {
			page, err := v.RatedNFTs(ctx, c.Collection, after, 10_000)
			if err != nil {
				return fmt.Errorf("reading the NFTs: %w", err)
			}
			if len(page) == 0 {
				return nil
			}
			numbers = append(numbers, page...)
			after = page[len(page)-1]
		}
	})
	return numbers, err
}

// named returns the numbers of NFTs by id; unknown ones are an error.
func named(ctx context.Context, v store.View, ids []string, sum *computed) ([]int64, error) {
	var numbers []int64
	for _, id := range ids {
		_, rating, err := findNFT(ctx, v, id)
		if err != nil {
			return nil, err
		}
		if rating == nil {
			sum.Unvoted++
			continue
		}
		numbers = append(numbers, rating.NFT)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// add counts the outcome for one NFT.
func (s *computed) add(r exact.Result) {
	if r.Err != nil {
		s.Failed++
		if len(s.Failures) < largest {
			s.Failures = append(s.Failures, failure{r.ID, r.Err.Error()})
		}
		return
	}
	s.Computed++
	switch {
	case r.Before == nil && r.After == nil:
		s.Unscored++
	case r.Before == nil:
		s.New++
	case r.After == nil:
		s.Withdrawn++
	case r.Before.POA == r.After.POA:
		s.Unchanged++
	default:
		s.Changed++
		s.rank(changeDoc{r.ID, r.Before.POA, r.After.POA})
	}
}

// rank keeps the largest changes, largest first.
func (s *computed) rank(c changeDoc) {
	if len(s.Largest) == largest && c.size() <= s.Largest[largest-1].size() {
		return
	}
	s.Largest = append(s.Largest, c)
	slices.SortStableFunc(s.Largest, func(a, b changeDoc) int { return cmp.Compare(b.size(), a.size()) })
	s.Largest = s.Largest[:min(len(s.Largest), largest)]
}

func (s *computed) print(m *Main) error {
	if m.cli.JSON {
		return m.printJSON(s)
	}
	m.printf("%s computed: %s, %s changed, %s unchanged", plural(s.Computed, "NFT"), plural(s.New, "new score"), grouped(s.Changed), grouped(s.Unchanged))
	for _, more := range []struct {
		n    int64
		text string
	}{
		{s.Withdrawn, "lost their score"}, {s.Unscored, "cannot have one yet"}, {s.Unvoted, "without any vote"}, {s.Failed, "failed"},
	} {
		if more.n > 0 {
			m.printf(", %s %s", grouped(more.n), more.text)
		}
	}
	m.printf("\n")
	if len(s.Largest) > 0 {
		m.printf("\nLargest changes\n")
		t := newTable("~NFT", ">BEFORE", ">AFTER", ">CHANGE")
		for _, c := range s.Largest {
			t.add(c.NFT, fmt.Sprintf("%.2f", c.Before), fmt.Sprintf("%.2f", c.After), fmt.Sprintf("%+.2f", c.After-c.Before))
		}
		m.printTable(t)
	}
	for _, f := range s.Failures {
		fmt.Fprintf(m.errs, "failed: %s\n", clean(f.Error))
	}
	return nil
}
