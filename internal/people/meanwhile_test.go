package people_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"poa/internal/people"
	"poa/internal/store"
)

// meanwhile does something once, after a person was read: what another request
// does while a password is hashed.
type meanwhile struct {
	store.Service
	do func()
}

func (m *meanwhile) once() {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
}

func (m *meanwhile) PersonByName(ctx context.Context, name string) (store.Person, error) {
	defer m.once()
	return m.Service.PersonByName(ctx, name)
}

func (m *meanwhile) PersonByNumber(ctx context.Context, number int64) (store.Person, error) {
	defer m.once()
	return m.Service.PersonByNumber(ctx, number)
}

// TestPasswordChangeUndoesNothing has an operator disable and demote somebody
// who is changing their password.
func TestPasswordChangeUndoesNothing(t *testing.T) {
	for name, act := range map[string]func(h *house, number int64) error{
		"disabled":          func(h *house, number int64) error { return h.Disable(t.Context(), number, "alice") },
		"made a viewer":     func(h *house, number int64) error { return h.SetRole(t.Context(), number, store.Viewer, "alice") },
		"given another one": func(h *house, number int64) error { return resetTo(h, number, "a third password") },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.add("alice", store.Operator)
			bob, b := h.add("bob", store.Operator)
			slow := &meanwhile{Service: h.store}
			s := people.New(people.Options{Store: slow, Now: h.clock.now})
			var after store.Person
			slow.do = func() {
				must(t, act(h, bob.Number))
				var err error
				after, err = h.store.PersonByNumber(t.Context(), bob.Number)
				must(t, err)
			}
			w := httptest.NewRecorder()
			err := s.ChangePassword(w, b.request().WithContext(t.Context()), &bob, password, "another password")
			now, readErr := h.store.PersonByNumber(t.Context(), bob.Number)
			must(t, readErr)
			if now.Role != after.Role || !now.DisabledAt.Equal(after.DisabledAt) {
				t.Errorf("changing a password made role %s and disabled at %v of %s and %v", now.Role, now.DisabledAt, after.Role, after.DisabledAt)
			}
			if wanted := name == "made a viewer"; wanted != (err == nil) || !wanted && !errors.Is(err, people.ErrPassword) {
				t.Errorf("the change itself: %v", err)
			}
			if err != nil && now.PasswordHash != after.PasswordHash {
				t.Error("a refused change changed the password")
			}
		})
	}
}

func resetTo(h *house, number int64, password string) error {
	token, err := h.Reset(h.t.Context(), number, "alice")
	if err != nil {
		return err
	}
	_, err = h.use(token, "", password)
	return err
}

// TestSlowSignInWithTheOldPassword has a password change while somebody signs
// in with the old one.
func TestSlowSignInWithTheOldPassword(t *testing.T) {
	h := open(t)
	bob, b := h.add("bob", store.Operator)
	slow := &meanwhile{Service: h.store}
	s := people.New(people.Options{Store: slow, Now: h.clock.now})
	slow.do = func() {
		h.clock.pass(time.Second)
		w := httptest.NewRecorder()
		must(t, h.ChangePassword(w, b.request().WithContext(t.Context()), &bob, password, "another password"))
		b.take(w)
		h.clock.pass(time.Second)
	}
	thief, w := &browser{}, httptest.NewRecorder()
	_, err := s.SignIn(w, thief.request().WithContext(t.Context()), home, "bob", password)
	thief.take(w)
	if got := h.seen(h.Service, thief); got != "" {
		t.Errorf("who knew the old password is signed in as %q (%v)", got, err)
	}
	if h.seen(h.Service, b) != "bob" {
		t.Error("who changed the password is signed out")
	}
}

// TestSignOutIsFinal signs out while another request of the session stores it.
func TestSignOutIsFinal(t *testing.T) {
	h := open(t)
	_, b := h.add("alice", store.Operator)
	late := &lateStore{Service: h.store}
	s := people.New(people.Options{Store: late, Now: h.clock.now})
	end := func() {
		late.before = nil
		must(t, h.SignOut(httptest.NewRecorder(), b.request().WithContext(t.Context())))
	}
	h.clock.pass(time.Hour) // the session's end is moved again
	late.before = end
	if got := h.seen(s, b); got != "" {
		t.Errorf("signed in is %q, who signed out during the request", got)
	}
	if got := h.seen(h.another(), b); got != "" {
		t.Errorf("after signing out the session goes on for %q", got)
	}

	_, b = h.add("bob", store.Viewer)
	late.before = end
	must(t, s.Flash(b.request().WithContext(t.Context()), people.Flash{Kind: "ok", Text: "late"}))
	if got := h.seen(h.another(), b); got != "" {
		t.Errorf("a message for the next page keeps the session of %q", got)
	}
}

// TestLinksOfFormerOperators has an operator make links, and then not be one.
func TestLinksOfFormerOperators(t *testing.T) {
	for name, act := range map[string]func(h *house, number int64) error{
		"disabled":      func(h *house, number int64) error { return h.Disable(t.Context(), number, "alice") },
		"made a viewer": func(h *house, number int64) error { return h.SetRole(t.Context(), number, store.Viewer, "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			alice, _ := h.add("alice", store.Operator)
			mallory, _ := h.add("mallory", store.Operator)
			invite, err := h.Invite(t.Context(), "friend", store.Operator, "mallory")
			must(t, err)
			reset, err := h.Reset(t.Context(), alice.Number, "mallory")
			must(t, err)
			other, err := h.Invite(t.Context(), "carol", store.Viewer, "alice")
			must(t, err)
			must(t, act(h, mallory.Number))
			for what, token := range map[string]string{"an invitation": invite, "a link for a new password": reset} {
				if _, err := h.use(token, "", "another password"); !errors.Is(err, people.ErrLink) {
					t.Errorf("%s of a former operator: %v", what, err)
				}
			}
			if _, err := h.use(other, "", password); err != nil {
				t.Errorf("another operator's invitation: %v", err)
			}
		})
	}
}

// TestLongNamesAreNotKept tries names of the size of a form, each once.
func TestLongNamesAreNotKept(t *testing.T) {
	h := open(t)
	const tries, size = 40, 256 << 10
	long := strings.Repeat("n", size)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range tries {
		if _, err := h.signIn(fmt.Sprint(i, long), password, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})); err == nil {
			t.Fatal("signed in")
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > tries*size/4 {
		t.Errorf("%d names of %d bytes keep %d bytes", tries, size, kept)
	}
	runtime.KeepAlive(h)
}

// TestOthersCannotBlockAPasswordChange has strangers use up the attempts to sign
// in with a name.
func TestOthersCannotBlockAPasswordChange(t *testing.T) {
	h := open(t)
	alice, b := h.add("alice", store.Operator)
	for i := range 60 {
		_, err := h.signIn("alice", "not the password", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		if !errors.Is(err, people.ErrCredentials) {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	must(t, h.ChangePassword(w, b.request().WithContext(t.Context()), &alice, password, "another password"))
}
