package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"poa/internal/access"
	"poa/internal/store"
	"poa/internal/store/sqlite/sqlitetest"
)

// TestStreamEndsWithItsKey has a listener's key revoked, and another's kept.
func TestStreamEndsWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := sqlitetest.New(t)
		guard, err := access.New(st, nil, access.Defaults(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		endless := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		// listen returns when the stream of a key ends, with its own reason apart.
		listen := func(name string) chan time.Time {
			secret, hash := access.NewKey()
			if _, err := st.PutKey(t.Context(), store.Key{Name: name, Role: store.Viewer, Hash: hash, CreatedAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			ended := make(chan time.Time, 1)
			go func() {
				while(guard, access.View, time.Minute, endless).ServeHTTP(httptest.NewRecorder(), r)
				ended <- time.Now()
			}()
			return ended
		}
		revoked, kept := listen("revoked"), listen("kept")
		time.Sleep(time.Hour)
		began := time.Now()
		if err := st.RevokeKey(t.Context(), "revoked", began); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		select {
		case at := <-revoked:
			if d := at.Sub(began); d > time.Minute+3*time.Second {
				t.Errorf("the stream of a revoked key went on for %v", d)
			}
		default:
			t.Error("the stream of a revoked key goes on")
		}
		select {
		case <-kept:
			t.Error("the stream of another key ended")
		default:
		}
	})
}
