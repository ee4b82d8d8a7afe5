package dropin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"poa/internal/access"
	"poa/internal/dropin"
	"poa/internal/servicetest"
	"poa/internal/settings"
	"poa/internal/store"
)

// What follows are the types of a client that was written for the old API and
// knows no other. A pointer may be null; everything else must be there.

type isoTime string

type clientStatus struct {
	SystemStatus    clientSystem `json:"systemStatus"`
	SchedulerConfig clientConfig `json:"schedulerConfig"`
	RecentActivity  struct {
		ComputationsLast24h float64          `json:"computationsLast24h"`
		RecentComputations  []clientComputed `json:"recentComputations"`
	} `json:"recentActivity"`
	TriggerCandidates struct {
		HighPriority float64           `json:"highPriority"`
		Candidates   []clientCandidate `json:"candidates"`
	} `json:"triggerCandidates"`
	NextBatch struct {
		EstimatedTime   *isoTime `json:"estimatedTime"`
		IntervalMinutes float64  `json:"intervalMinutes"`
	} `json:"nextBatch"`
}

type clientSystem struct {
	TotalNFTs      float64  `json:"total_nfts"`
	NFTsWithPOA    float64  `json:"nfts_with_poa_v2"`
	AvgPOA         *float64 `json:"avg_poa_v2"`
	AvgConfidence  *float64 `json:"avg_confidence"`
	UsersWithStats float64  `json:"users_with_stats"`
	AvgReliability *float64 `json:"avg_reliability"`
}

type clientConfig struct {
	Batch struct {
		Enabled           bool    `json:"enabled"`
		IntervalMinutes   float64 `json:"intervalMinutes"`
		BatchSize         float64 `json:"batchSize"`
		MaxProcessingTime float64 `json:"maxProcessingTime"`
		DelayBetweenNFTs  float64 `json:"delayBetweenNFTs"`
	} `json:"batch"`
	Trigger struct {
		Enabled               bool      `json:"enabled"`
		VoteMilestones        []float64 `json:"voteMilestones"`
		SuperVoteAlways       bool      `json:"superVoteAlways"`
		FireVoteAlways        bool      `json:"fireVoteAlways"`
		HighActivityThreshold float64   `json:"highActivityThreshold"`
	} `json:"trigger"`
	Status struct {
		POAV2Enabled      bool     `json:"poaV2Enabled"`
		NextBatchEstimate *isoTime `json:"nextBatchEstimate"`
		SystemHealth      string   `json:"systemHealth"`
	} `json:"status"`
}

type clientListed struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Collection *string `json:"collection_name"` // null: the NFT is of none
}

type clientComputed struct {
	clientListed
	POA float64 `json:"poa_v2"`
	At  isoTime `json:"poa_v2_updated_at"`
}

type clientCandidate struct {
	clientListed
	TotalVotes float64 `json:"total_votes"`
}

type clientBatchCandidates struct {
	New []struct {
		clientCandidate
		EloMean float64 `json:"elo_mean"`
	} `json:"newNFTs"`
	Old []struct {
		clientCandidate
		POA float64 `json:"poa_v2"`
		At  isoTime `json:"poa_v2_updated_at"`
	} `json:"oldNFTs"`
	Summary struct {
		NewCount        float64 `json:"newCount"`
		OldCount        float64 `json:"oldCount"`
		TotalCandidates float64 `json:"totalCandidates"`
	} `json:"summary"`
}

type clientSummary struct {
	TotalProcessed float64  `json:"total_processed"`
	Successful     float64  `json:"successful_computations"`
	Failed         float64  `json:"failed_computations"`
	AvgPOA         float64  `json:"avg_poa_v2"`
	AvgConfidence  float64  `json:"avg_confidence"`
	Took           float64  `json:"processing_time_ms"`
	Collections    []string `json:"collections_processed"`
}

type clientBatch struct {
	BatchResult struct {
		Success bool          `json:"success"`
		Summary clientSummary `json:"summary"`
	} `json:"batchResult"`
	CustomBatchSize *float64 `json:"customBatchSize"`
	Timestamp       isoTime  `json:"timestamp"`
}

type clientComponents struct {
	Elo         float64 `json:"elo_component"`
	Slider      float64 `json:"slider_component"`
	Fire        float64 `json:"fire_component"`
	Confidence  float64 `json:"confidence"`
	Reliability float64 `json:"avg_reliability"`
}

type clientComputation struct {
	NFT         string           `json:"nft_id"`
	POA         float64          `json:"poa_v2"`
	Confidence  float64          `json:"poa_v2_confidence"`
	Components  clientComponents `json:"poa_v2_components"`
	Explanation string           `json:"poa_v2_explanation"`
	Timestamp   isoTime          `json:"computation_timestamp"`
	Sources     struct {
		EloVotes    float64 `json:"elo_votes"`
		SliderVotes float64 `json:"slider_votes"`
		FireVotes   float64 `json:"fire_votes"`
		Reliability float64 `json:"avg_user_reliability"`
	} `json:"data_sources"`
}

type clientNamed struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	Collection *string `json:"collection"`
}

type clientOutcome struct {
	Success bool               `json:"success"`
	Result  *clientComputation `json:"result"`
}

type clientTested struct {
	NFT struct {
		clientNamed
		TotalVotes float64 `json:"totalVotes"`
	} `json:"nft"`
	Trigger struct {
		Type     string `json:"type"`
		Priority string `json:"priority"`
	} `json:"trigger"`
	Result clientOutcome `json:"result"`
}

type clientSimulated struct {
	NFT         string        `json:"nftId"`
	TriggerType string        `json:"triggerType"`
	Simulation  clientOutcome `json:"simulation"`
}

type clientCondition struct {
	ShouldCompute bool   `json:"shouldCompute"`
	Priority      string `json:"priority"`
	Reason        string `json:"reason"`
}

type clientConditions struct {
	NFT struct {
		clientNamed
		TotalVotes float64 `json:"totalVotes"`
		HasPOAv2   bool    `json:"hasPOAv2"`
	} `json:"nft"`
	Conditions struct {
		Regular clientCondition `json:"regularVote"`
		Super   clientCondition `json:"superVote"`
		Fire    clientCondition `json:"fireVote"`
	} `json:"triggerConditions"`
	Summary struct {
		Regular bool `json:"wouldTriggerOnRegular"`
		Super   bool `json:"wouldTriggerOnSuper"`
		Fire    bool `json:"wouldTriggerOnFire"`
	} `json:"summary"`
}

type clientSingle struct {
	NFT struct {
		clientNamed
		EloMean     float64  `json:"eloMean"`
		TotalVotes  float64  `json:"totalVotes"`
		PreviousPOA *float64 `json:"previousPoa"`
	} `json:"nft"`
	Computation *clientComputation `json:"computation"`
	Computed    bool               `json:"computed"`
}

type clientPerformed struct {
	Summary     clientSummary `json:"summary"`
	Performance struct {
		NFTsPerSecond float64 `json:"nftsPerSecond"`
		AvgTimePerNFT float64 `json:"avgTimePerNft"`
	} `json:"performance"`
}

type clientCollection struct {
	clientPerformed
	Collection string `json:"collection"`
}

type clientGrouped struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	EloMean    float64 `json:"eloMean"`
	TotalVotes float64 `json:"totalVotes"`
}

type clientCandidates struct {
	Total        float64                    `json:"totalCandidates"`
	Candidates   []clientCandidate          `json:"candidates"`
	ByCollection map[string][]clientGrouped `json:"byCollection"`
	Summary      []struct {
		Collection string        `json:"collection"`
		Count      float64       `json:"count"`
		AvgVotes   float64       `json:"avgVotes"`
		TopNFT     clientGrouped `json:"topNFT"`
	} `json:"collectionSummary"`
}

type clientStats struct {
	Total float64 `json:"totalCollections"`
	Stats []struct {
		Collection string  `json:"collection"`
		NFTs       float64 `json:"total_nfts"`
		Voted      float64 `json:"nfts_with_votes"`
		Scored     float64 `json:"nfts_with_poa_v2"`
		Votes      float64 `json:"total_votes"`
		AvgElo     float64 `json:"avg_elo"`
		Ready      float64 `json:"ready_for_computation"`
		AvgVotes   float64 `json:"avg_votes_per_nft"`
		Coverage   float64 `json:"poa_v2_coverage"`
	} `json:"collectionStats"`
	Overall struct {
		NFTs   float64 `json:"totalNFTs"`
		Voted  float64 `json:"nftsWithVotes"`
		Scored float64 `json:"nftsWithPOAv2"`
		Ready  float64 `json:"readyForComputation"`
	} `json:"overallStats"`
}

type clientNFTs struct {
	Top []struct {
		clientListed
		EloMean     float64          `json:"elo_mean"`
		EloSigma    float64          `json:"elo_sigma"`
		TotalVotes  float64          `json:"total_votes"`
		POA         float64          `json:"poa_v2"`
		Confidence  float64          `json:"poa_v2_confidence"`
		Explanation string           `json:"poa_v2_explanation"`
		At          isoTime          `json:"poa_v2_updated_at"`
		Components  clientComponents `json:"poa_v2_components"`
	} `json:"topNFTs"`
	Recent      []clientComputed  `json:"recentlyComputed"`
	Candidates  []clientCandidate `json:"computationCandidates"`
	SystemStats clientSystem      `json:"systemStats"`
	Summary     map[string]any    `json:"summary"`
}

type clientProgress struct {
	Progress struct {
		Eligible  float64 `json:"totalEligible"`
		Completed float64 `json:"completed"`
		Remaining float64 `json:"remaining"`
		Percent   string  `json:"progressPercent"`
	} `json:"backfillProgress"`
	Next    []clientCandidate `json:"nextCandidates"`
	Summary string            `json:"summary"`
}

// calls are all that the client does, with the type of each answer's data.
var calls = []struct {
	path, body string
	data       any
}{
	{schedulerPath, "", clientStatus{}},
	{schedulerPath + "?action=status", "", clientStatus{}},
	{schedulerPath + "?action=config", "", clientConfig{}},
	{schedulerPath + "?action=batch_candidates", "", clientBatchCandidates{}},
	{schedulerPath, `{"action":"check_trigger_conditions","nftId":"k1"}`, clientConditions{}},
	{schedulerPath, `{"action":"simulate_trigger","nftId":"k1","triggerType":"milestone"}`, clientSimulated{}},
	{schedulerPath, `{"action":"simulate_trigger","nftId":"k6","triggerType":"super"}`, clientSimulated{}},
	{schedulerPath, `{"action":"simulate_trigger","nftId":"loner","triggerType":"fire"}`, clientSimulated{}},
	{schedulerPath, `{"action":"test_trigger","nftId":"k1","triggerType":"new_vote"}`, clientTested{}},
	{schedulerPath, `{"action":"test_trigger","nftId":"k2","triggerType":"milestone"}`, clientTested{}},
	{schedulerPath, `{"action":"test_trigger","nftId":"b2","triggerType":"fire_vote"}`, clientTested{}},
	{schedulerPath, `{"action":"test_trigger","nftId":"moved","triggerType":"super_vote"}`, clientTested{}},
	{computePath, `{"action":"get_computation_candidates","limit":50}`, clientCandidates{}},
	{computePath, `{"action":"get_collection_stats"}`, clientStats{}},
	{backfillPath, "", clientProgress{}},
	{backfillPath, `{"batchSize":3,"dryRun":true}`, map[string]any{}},
	{nftsPath + "?limit=20&collection=", "", clientNFTs{}},
	{nftsPath + "?limit=5&collection=Kabu", "", clientNFTs{}},
	{nftsPath, `{"action":"get_nft_details","nftId":"k1"}`, map[string]any{}},
	{schemaPath, "", struct {
		System clientSystem `json:"systemStatus"`
	}{}},
	{computePath, `{"action":"compute_single","nftId":"k4"}`, clientSingle{}},
	{computePath, `{"action":"compute_single","nftId":"moved"}`, clientSingle{}},
	{nftsPath, `{"action":"compute_single","nftId":"k5"}`, map[string]any{}},
	{computePath, `{"action":"compute_batch","nftIds":["k1","k2"],"options":{"batchSize":10,"delayMs":100}}`, clientPerformed{}},
	{nftsPath, `{"action":"compute_batch","nftIds":["k1","k2"]}`, map[string]any{}},
	{schedulerPath, `{"action":"run_batch","batchSize":2}`, clientBatch{}},
	{schedulerPath, `{"action":"run_batch"}`, clientBatch{}},
	{computePath, `{"action":"compute_collection","collectionName":"BEEISH","limit":10}`, clientCollection{}},
	{computePath, `{"action":"compute_collection","collectionName":"Kabu"}`, clientCollection{}},
	{backfillPath, `{"batchSize":3}`, map[string]any{}},
	{schedulerPath + "?action=batch_candidates", "", clientBatchCandidates{}},
	{schedulerPath, "", clientStatus{}},
}

// TestOldClient calls everything as the old client did, in an empty database, in
// a game, and a day later while all is paused.
func TestOldClient(t *testing.T) {
	servicetest.OnBoth(t, func(t *testing.T, st servicetest.Store) {
		// While batches are paused a backfill waits, and its request with it.
		w := start(t, st, func(o *dropin.Options, _ *access.Settings) { o.Wait = time.Second })
		w.register("Kabu", "k1", "k2", "k4", "k5", "k6", "moved")
		w.register("BEEISH", "b2")
		w.register("", "loner")
		for _, before := range []struct {
			name string
			do   func()
		}{
			{"without votes", func() {}},
			{"in a game", w.play},
			{"paused", func() {
				w.clock.move(25 * time.Hour)
				for _, what := range []settings.Subject{settings.Batches, settings.Triggers} {
					must(t, w.Settings.Pause(t.Context(), what, settings.Pause{Reason: "test", Who: "test"}))
				}
				w.cast(super("zoe", "k6", "moved"), super("zoe", "k1", "k2"))
			}},
		} {
			before.do()
			for _, c := range calls {
				w.clock.move(time.Second)
				method := "GET"
				if c.body != "" {
					method = "POST"
				}
				got := w.ask(store.Operator, method, c.path, c.body, "x-wallet-address", "0x1234")
				var doc struct {
					Success *bool           `json:"success"`
					Data    json.RawMessage `json:"data"`
				}
				must(t, json.Unmarshal(got.body, &doc))
				if got.StatusCode != 200 || doc.Success == nil || !*doc.Success {
					t.Errorf("%s: %s %s: %s\n%s", before.name, c.path, c.body, got.Status, got.body)
					continue
				}
				for _, wrong := range fit("data", doc.Data, reflect.TypeOf(c.data)) {
					t.Errorf("%s: %s %s: %s", before.name, c.path, c.body, wrong)
				}
			}
		}
	})
}

var isISO = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// fit says where JSON text does not fit a type: a field is missing, or a value
// has another type.
func fit(at string, text json.RawMessage, want reflect.Type) (wrong []string) {
	if bytes.Equal(text, []byte("null")) {
		if want.Kind() == reflect.Pointer {
			return nil
		}
		return []string{at + " is null"}
	}
	misfit := func(into any) bool {
		if err := json.Unmarshal(text, into); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", at, err))
			return true
		}
		return false
	}
	switch want.Kind() {
	case reflect.Pointer:
		return fit(at, text, want.Elem())
	case reflect.Struct:
		var fields map[string]json.RawMessage
		if misfit(&fields) {
			return wrong
		}
		for i := range want.NumField() {
			f := want.Field(i)
			if f.Anonymous {
				wrong = append(wrong, fit(at, text, f.Type)...)
				continue
			}
			name := f.Tag.Get("json")
			value, there := fields[name]
			if !there {
				wrong = append(wrong, fmt.Sprintf("%s.%s is missing", at, name))
				continue
			}
			wrong = append(wrong, fit(at+"."+name, value, f.Type)...)
		}
	case reflect.Slice:
		var items []json.RawMessage
		if misfit(&items) {
			return wrong
		}
		for i, item := range items {
			wrong = append(wrong, fit(fmt.Sprintf("%s[%d]", at, i), item, want.Elem())...)
		}
	case reflect.Map:
		var items map[string]json.RawMessage
		if misfit(&items) || want.Elem().Kind() == reflect.Interface {
			return wrong
		}
		for name, item := range items {
			wrong = append(wrong, fit(at+"."+name, item, want.Elem())...)
		}
	default:
		v := reflect.New(want)
		if !misfit(v.Interface()) && want == reflect.TypeFor[isoTime]() && !isISO.MatchString(v.Elem().String()) {
			wrong = append(wrong, fmt.Sprintf("%s: %s is no time as JavaScript writes it", at, text))
		}
	}
	return wrong
}

// TestFit: what does not fit is seen.
func TestFit(t *testing.T) {
	type inner struct {
		When isoTime `json:"when"`
	}
	type doc struct {
		inner
		Number float64            `json:"number"`
		Maybe  *string            `json:"maybe"`
		List   []inner            `json:"list"`
		Map    map[string]float64 `json:"map"`
	}
	const now = `"2026-03-01T12:10:30.123Z"`
	for text, want := range map[string]string{
		`{"when":` + now + `,"number":1,"maybe":null,"list":[],"map":{}}`:               "",
		`{"when":` + now + `,"number":1,"maybe":"","list":[{"when":""}],"map":{"a":1}}`: `data.list[0].when: "" is no time`,
		`{"when":` + now + `,"number":null,"maybe":null,"list":[],"map":{}}`:            "data.number is null",
		`{"when":` + now + `,"number":"1","maybe":null,"list":[],"map":{}}`:             "data.number: json",
		`{"when":` + now + `,"number":1,"list":[],"map":{}}`:                            "data.maybe is missing",
		`{"when":"2026-03-01T12:10:30Z","number":1,"maybe":null,"list":[],"map":{}}`:    "data.when: ",
		`{"when":` + now + `,"number":1,"maybe":null,"list":null,"map":{}}`:             "data.list is null",
		`{"when":` + now + `,"number":1,"maybe":null,"list":[],"map":{"a":true}}`:       "data.map.a: json",
		`[]`: "data: json",
	} {
		got := strings.Join(fit("data", json.RawMessage(text), reflect.TypeFor[doc]()), "; ")
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
