package scoring_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"poa/internal/scoring"
)

// TestWorkedExample plays the example of docs/scoring.md and looks for each of
// its lines there.
func TestWorkedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/scoring.md")
	if err != nil {
		t.Fatal(err)
	}
	says := func(format string, args ...any) {
		t.Helper()
		if line := fmt.Sprintf(format, args...); !strings.Contains(string(page), line) {
			t.Errorf("docs/scoring.md does not say: %s", line)
		}
	}
	c := scoring.Defaults()
	kestrel, otter, marlin := c.NewRating(), c.NewRating(), c.NewRating()
	marlin.Mean = 1300
	ann := c.NewVoter()
	ben := scoring.Voter{Reliability: 1.2, Judged: 8}
	cleo := scoring.Voter{Reliability: 0.9, Judged: 5}

	c.FoldMatchup(decided(scoring.WinA), &ann, &kestrel, &otter)
	says("Kestrel %.2f, Otter %.2f, sigma %.2f", kestrel.Mean, otter.Mean, kestrel.Sigma)

	step := kestrel.Mean
	c.FoldMatchup(super(scoring.WinB), &ben, &kestrel, &marlin)
	says("E = %.4f", (step-kestrel.Mean)/c.SuperK)
	says("Kestrel %.2f, Marlin %.2f, sigma %.2f", kestrel.Mean, marlin.Mean, kestrel.Sigma)
	says("reliability 1.2 → %.4f", ben.Reliability)

	var rated, fired scoring.Opinion
	c.FoldOpinion(at(1, scoring.Slider, 80), &ann, &kestrel, &rated)
	mean, std := c.Spread(ann.Calibration)
	says("mean %.2f, standard deviation %.2f, so 80 counts as %.2f", mean, std, rated.Score.Float())

	c.FoldOpinion(at(2, scoring.Fire, 0), &cleo, &kestrel, &fired)
	says("%d votes (5 of them from the super vote)", kestrel.Votes)

	incremental, _ := c.Score(&kestrel)
	says("Elo %.2f, slider %.2f, FIRE %.2f", incremental.Elo, incremental.Slider, incremental.Fire)
	says("R = (1 + 1.2 + 1 + 0.9) / 4 = %.3f", incremental.Reliability)
	says("%s", c.Explain(incremental.POA, incremental.Components))
	says("confidence %.2f", incremental.Confidence)

	// Weeks later: Ben and Cleo drifted, and Ann rated four other NFTs.
	ben.Reliability, cleo.Reliability = 1.3, 1.1
	for _, x := range []float64{90, 85, 95, 90} {
		other, o := c.NewRating(), scoring.Opinion{}
		c.FoldOpinion(at(3, scoring.Slider, x), &ann, &other, &o)
	}
	later, _ := c.Score(&kestrel)
	if later != incremental {
		t.Errorf("the incremental score moved from %+v to %+v without a vote", incremental, later)
	}
	exact := kestrel
	exact.MatchupWeight = c.Weight(&ann) + c.Weight(&ben)
	exact.SliderWeight = c.Weight(&ann)
	exact.SliderSum = c.SliderScore(80, ann.Calibration, c.Weight(&ann))
	exact.FireWeight = c.Weight(&cleo)
	mean, std = c.Spread(ann.Calibration)
	says("mean %.2f, standard deviation %.2f, so her 80 now counts as %.2f", mean, std, exact.SliderSum.Float())
	result, _ := c.Score(&exact)
	says("R = (1 + 1.3 + 1 + 1.1) / 4 = %.3f", result.Reliability)
	says("%s", c.Explain(result.POA, result.Components))
}

// TestDocsFigures checks the other figures of docs/scoring.md.
func TestDocsFigures(t *testing.T) {
	page, err := os.ReadFile("../../docs/scoring.md")
	if err != nil {
		t.Fatal(err)
	}
	c := scoring.Defaults()
	a, b, voter := c.NewRating(), c.NewRating(), c.NewVoter()
	matchups := map[float64]int{}
	for n := 1; n <= 300; n++ {
		c.FoldMatchup(decided(scoring.Tie), &voter, &a, &b)
		for _, sigma := range []float64{50, 100} {
			if a.Sigma <= sigma && matchups[sigma] == 0 {
				matchups[sigma] = n
			}
		}
	}
	var counts [101]float64
	for n := 1; n <= 100; n++ {
		nft, o := c.NewRating(), scoring.Opinion{}
		c.FoldOpinion(at(n, scoring.Slider, 90), &voter, &nft, &o)
		counts[n] = o.Score.Float()
	}
	for _, line := range []string{
		fmt.Sprintf("floor of 50 within %d matchups, and to 100 within %d.", matchups[50], matchups[100]),
		fmt.Sprintf("the first counts %.2f, the 20th %.2f, the 100th %.2f.", counts[1], counts[20], counts[100]),
	} {
		if !strings.Contains(string(page), line) {
			t.Errorf("docs/scoring.md does not say: %s", line)
		}
	}
}

// TestDocsNameEverySetting keeps the tables of docs/scoring.md complete, with
// the defaults that are in force.
func TestDocsNameEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/scoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range settings() {
		if row := fmt.Sprintf("| `%s` | %v |", name, value); !strings.Contains(string(page), row) {
			t.Errorf("docs/scoring.md has no row %s", row)
		}
	}
}
