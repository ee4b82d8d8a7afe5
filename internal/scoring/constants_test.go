package scoring_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"poa/internal/scoring"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := scoring.Defaults().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheConstant(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*scoring.Constants)
		want   string
	}{
		{"start mean", func(c *scoring.Constants) { c.StartMean = math.NaN() }, "start_mean: must be a finite number, is NaN"},
		{"elo scale", func(c *scoring.Constants) { c.EloScale = 0 }, "elo_scale: must be a positive number, is 0"},
		{"k", func(c *scoring.Constants) { c.K = -32 }, "k: must be a positive number, is -32"},
		{"super k", func(c *scoring.Constants) { c.SuperK = 0 }, "super_k: must be a positive number, is 0"},
		{"no super votes", func(c *scoring.Constants) { c.SuperVotes = 0 }, "super_votes: must be from 1 to 1000, is 0"},
		{"too many super votes", func(c *scoring.Constants) { c.SuperVotes = 1001 }, "super_votes: must be from 1 to 1000, is 1001"},
		{"sigma noise", func(c *scoring.Constants) { c.SigmaNoise = -1 }, "sigma_noise: must be from 0 to 1e+06, is -1"},
		{"sigma decay of 0", func(c *scoring.Constants) { c.SigmaDecay = 0 }, "sigma_decay: must be a positive number, is 0"},
		{"growing sigma", func(c *scoring.Constants) { c.SigmaDecay = 1.01 }, "sigma_decay: must be from 0 to 1, is 1.01"},
		{"floor at the ceiling", func(c *scoring.Constants) { c.SigmaMin, c.SigmaMax, c.StartSigma = 350, 350, 350 }, "sigma_min: must be below sigma_max (350), is 350"},
		{"start sigma below the floor", func(c *scoring.Constants) { c.StartSigma = 49 }, "start_sigma: must be from 50 to 400, is 49"},
		{"start sigma above the ceiling", func(c *scoring.Constants) { c.StartSigma = 401 }, "start_sigma: must be from 50 to 400, is 401"},
		{"reliability floor", func(c *scoring.Constants) { c.ReliabilityMin = 0 }, "reliability_min: must be from 0.001 to 10, is 0"},
		{"reliability ceiling", func(c *scoring.Constants) { c.ReliabilityMax = 11 }, "reliability_max: must be from 0.001 to 10, is 11"},
		{"reliability floor above its ceiling", func(c *scoring.Constants) { c.ReliabilityMin, c.ReliabilityMax = 1.5, 0.5 }, "reliability_min: must be below reliability_max (0.5), is 1.5\nreliability_start: must be from 1.5 to 0.5, is 1"},
		{"reliability start", func(c *scoring.Constants) { c.ReliabilityStart = 1.6 }, "reliability_start: must be from 0.5 to 1.5, is 1.6"},
		{"reliability step", func(c *scoring.Constants) { c.ReliabilityStep = 2 }, "reliability_step: must be from 0 to 1, is 2"},
		{"reliability base", func(c *scoring.Constants) { c.ReliabilityBase = 1.5 }, "reliability_base: must be from 0 to 1, is 1.5"},
		{"reliability gap scale", func(c *scoring.Constants) { c.ReliabilityGapScale = 0 }, "reliability_gap_scale: must be a positive number, is 0"},
		{"reliability rate", func(c *scoring.Constants) { c.ReliabilityRate = -0.1 }, "reliability_rate: must be from 0 to 1, is -0.1"},
		{"judged votes", func(c *scoring.Constants) { c.ReliabilityMinJudged = -1 }, "reliability_min_judged: must not be negative, is -1"},

		{"elo floor", func(c *scoring.Constants) { c.EloFloor = 2000 }, "elo_floor: must be below elo_ceiling (2000), is 2000"},
		{"elo ceiling", func(c *scoring.Constants) { c.EloCeiling = math.Inf(1) }, "elo_ceiling: must be a finite number, is +Inf"},
		{"weights below 1", func(c *scoring.Constants) { c.SliderWeight = 0.29 }, "elo_weight: the three component weights must sum to 1, they sum to 0.99"},
		{"weights above 1", func(c *scoring.Constants) { c.FireWeight = 0.5 }, "elo_weight: the three component weights must sum to 1, they sum to 1.2"},
		{"negative weight", func(c *scoring.Constants) { c.SliderWeight, c.FireWeight = -0.3, 0.9 }, "slider_weight: must be from 0 to 1, is -0.3"},
		{"neutral slider", func(c *scoring.Constants) { c.SliderNeutral = 101 }, "slider_neutral: must be from 0 to 100, is 101"},
		{"fire saturation", func(c *scoring.Constants) { c.FireSaturation = 0 }, "fire_saturation: must be a positive number, is 0"},
		{"sigma scale", func(c *scoring.Constants) { c.SigmaScale = -400 }, "sigma_scale: must be a positive number, is -400"},
		{"provisional", func(c *scoring.Constants) { c.Provisional = -1 }, "provisional_below: must not be negative, is -1"},
		{"prior count", func(c *scoring.Constants) { c.SliderPriorCount = 0 }, "slider_prior_count: must be a positive number, is 0"},
		{"prior mean", func(c *scoring.Constants) { c.SliderPriorMean = -1 }, "slider_prior_mean: must be from 0 to 100, is -1"},
		{"prior std", func(c *scoring.Constants) { c.SliderPriorStd = 0 }, "slider_prior_std: must be a positive number, is 0"},
		{"smallest std", func(c *scoring.Constants) { c.SliderStdMin = 0 }, "slider_std_min: must be a positive number, is 0"},
		{"clamp", func(c *scoring.Constants) { c.SliderClamp = 0 }, "slider_clamp: must be a positive number, is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			constants := scoring.Defaults()
			c.change(&constants)
			if err := constants.Validate(); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestValidateReportsAll(t *testing.T) {
	c := scoring.Defaults()
	c.K, c.SigmaNoise, c.SigmaScale = 0, -1, 0
	err := c.Validate()
	if err == nil {
		t.Fatal("three bad constants passed")
	}
	for _, name := range []string{"k:", "sigma_noise:", "sigma_scale:"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

// TestValidateCoversEveryConstant catches a constant that was added without a
// check: none may be NaN, infinite or, for counts, negative.
func TestValidateCoversEveryConstant(t *testing.T) {
	var c scoring.Constants
	v := reflect.ValueOf(&c).Elem()
	for group := range v.NumField() {
		for i := range v.Field(group).NumField() {
			name := v.Field(group).Type().Field(i).Tag.Get("json")
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				c = scoring.Defaults()
				switch field := v.Field(group).Field(i); field.Kind() {
				case reflect.Float64:
					field.SetFloat(bad)
				case reflect.Int64:
					field.SetInt(-1)
				default:
					t.Fatalf("%s has the kind %v, for which this test knows no bad value", name, field.Kind())
				}
				if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name+": ") {
					t.Errorf("%s of %v: %v", name, v.Field(group).Field(i), err)
				}
			}
		}
	}
}

// settings are all constants by setting name, with their defaults.
func settings() map[string]any {
	all := map[string]any{}
	c := reflect.ValueOf(scoring.Defaults())
	for group := range c.NumField() {
		section := strings.ToLower(c.Type().Field(group).Name)
		for i := range c.Field(group).NumField() {
			name := c.Field(group).Type().Field(i).Tag.Get("koanf")
			all["scoring."+section+"."+name] = c.Field(group).Field(i).Interface()
		}
	}
	return all
}
