package gamesync

import (
	"testing"
	"time"

	"poa/internal/store"
)

// FuzzRow sees that whatever the game's tables hold is a vote that the ledger
// takes, or a refusal with a code that can be kept among the rejects.
func FuzzRow(f *testing.F) {
	const a, b = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	const wallet = "0xABCDEF0000000000000000000000000000000001"
	f.Add(false, "1", int64(1_770_000_000_000_000), wallet, "same_coll", a, b, a, "", true)
	f.Add(false, "2", int64(1_770_000_000_000_000), wallet, "slider", a, "", "", "7.5", false)
	f.Add(true, "3", int64(1_770_000_000_000_000), wallet, "slider_max", a, "", "", "", false)
	f.Add(false, "4", int64(0), "", "cross_coll", "{"+a+"}", b, "x", "NaN", false)
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, favorite bool, id string, at int64, wallet, kind, a, b, winner, value string, super bool) {
		r := row{table: votes, ID: id, At: time.UnixMicro(at).UTC(), Wallet: wallet, Kind: kind, A: a, B: b, Winner: winner, Value: value, Super: super}
		if favorite {
			r.table = favorites
		}
		for _, scale := range []int{TenPoint, 100} {
			v, refusal := r.vote(scale)
			if refusal != nil {
				kept := r.reject(refusal, now)
				if refusal.Code == "" || refusal.Field == "" || kept == (store.Reject{}) || kept.Code != string(refusal.Code) || kept.Raw == "" {
					t.Fatalf("%+v is refused with %+v and kept as %+v", r, refusal, kept)
				}
				continue
			}
			// Only the time and the id, which the database bounds, may still be wrong.
			v.Key, v.CastAt = "k", now
			if err := v.Check(now); err != nil {
				t.Fatalf("%+v is read as %+v: %v", r, v, err)
			}
		}
	})
}
