package people

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHashes(t *testing.T) {
	h := newHasher()
	a, err := h.hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.hash(t.Context(), "correct horse battery")
	if err != nil || a == b {
		t.Errorf("two hashes of one password: %v, %v", a, b)
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batter": false, "": false} {
		if got, err := h.verify(t.Context(), a, password); err != nil || got != want {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	if got, err := h.verify(t.Context(), h.nobody, "anything"); err != nil || got {
		t.Errorf("nobody's password: %v, %v", got, err)
	}
	// By the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 24
	known := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := h.verify(t.Context(), known, "password"); err != nil || !got {
		t.Errorf("a hash of another program: %v, %v", got, err)
	}
}

func TestHashesThatAreNone(t *testing.T) {
	h := newHasher()
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaA", "$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaA",
		"$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHQ$aGFzaA", "$argon2id$v=19$m=8,t=1,p=0$c29tZXNhbHQ$aGFzaA",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$aGFzaA", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$",
		"$argon2id$v=19$m=8,t=1,p=1$!$aGFzaA", "$argon2id$v=19$x$c29tZXNhbHQ$aGFzaA",
	} {
		if got, err := h.verify(t.Context(), bad, "password"); err == nil || got {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
}

// TestFewHashAtOnce sees that hashing waits for its turn, and not for ever.
func TestFewHashAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		for range hashesAtOnce {
			h.turns <- struct{}{}
		}
		began := time.Now()
		if _, err := h.hash(t.Context(), "correct horse battery"); !errors.Is(err, ErrBusy) || time.Since(began) != hashWait {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.verify(gone, h.nobody, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("who has gone: %v", err)
		}
		<-h.turns
		if text, err := h.hash(t.Context(), "correct horse battery"); err != nil || !strings.HasPrefix(text, "$argon2id$") {
			t.Errorf("with a free turn: %q, %v", text, err)
		}
		if len(h.turns) != hashesAtOnce-1 {
			t.Errorf("%d turns are taken", len(h.turns))
		}
	})
}
