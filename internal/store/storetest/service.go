package storetest

import (
	"testing"

	"poa/internal/store"
)

// RunService checks every promise of store.Service beyond those of store.Store.
// open is as for Run.
func RunService(t *testing.T, open func(t *testing.T) store.Service) {
	plain := opener(func(t *testing.T) store.Store { return open(t) })
	for _, area := range []struct {
		name string
		test func(*testing.T, opener)
	}{
		{"Candidates", testCandidates},
		{"Backlog", testBacklog},
		{"Runs", testRuns},
		{"Failures", testFailures},
		{"Keys", testKeys},
		{"Stream", testStream},
		{"Trim", testTrim},
		{"TrimRuns", testTrimRuns},
		{"ListNFTs", testListNFTs},
		{"Search", testSearch},
		{"Leaderboard", testLeaderboard},
		{"ListActivity", testListActivity},
		{"VotesOf", testVotesOf},
		{"Settings", testSettings},
		{"SettingsVersion", testSettingsVersion},
		{"SettingsAsOf", testSettingsAsOf},
		{"State", testState},
		{"DropIn", testDropIn},
		{"People", testPeople},
		{"Links", testLinks},
		{"Sessions", testSessions},
		{"Voters", testVoters},
		{"LowestScores", testLowestScores},
		{"RecentlyComputed", testRecentlyComputed},
		{"CollectionsAfter", testCollectionsAfter},
		{"TriggerCandidates", testTriggerCandidates},
		{"SettingAudit", testSettingAudit},
		{"SearchActivity", testSearchActivity},
		{"Distribution", testDistribution},
		{"Samples", testSamples},
		{"Expire", testExpire},
	} {
		t.Run(area.name, func(t *testing.T) { area.test(t, plain) })
	}
}

// service is a fixture of a store that serves.
type service struct {
	store.Service
	*fixture
}

func (open opener) service(t *testing.T) *service {
	t.Helper()
	f := open.prepared(t)
	return &service{f.Store.(store.Service), f}
}

func (s *service) same(what string, want, got any) {
	s.t.Helper()
	same(s.t, what, want, got)
}

func (s *service) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func ids[T any](rows []T, id func(T) string) []string {
	var all []string
	for _, r := range rows {
		all = append(all, id(r))
	}
	return all
}
