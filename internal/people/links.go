package people

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"poa/internal/access"
	"poa/internal/store"
)

// SetupPath is where one-time links lead; the token is its parameter.
const SetupPath = "/setup"

// LinkPath is the path and query of a one-time link.
func LinkPath(token string) string { return SetupPath + "?token=" + token }

// purposes are those of the links that lead to SetupPath.
var purposes = [...]store.LinkPurpose{store.SetupLink, store.InviteLink, store.ResetLink}

// Setup returns a token to make the first operator with, as long as no operator
// can sign in (the person of a demo has no password, so cannot); "" otherwise.
// Several processes may have such tokens: once there is somebody all of them
// are void.
func (s *Service) Setup(ctx context.Context) (token string, err error) {
	list, err := s.Store.People(ctx)
	if err != nil {
		return "", fmt.Errorf("reading who there is: %w", err)
	}
	if slices.ContainsFunc(list, func(p store.Person) bool { return p.Operates() && p.PasswordHash != "" }) {
		return "", nil
	}
	return s.link(ctx, store.Link{Purpose: store.SetupLink, Role: store.Operator})
}

// Invite returns a token with which somebody becomes a person with that name
// and role: *Invalid, store.ErrNameTaken.
func (s *Service) Invite(ctx context.Context, name string, role store.Role, by string) (token string, err error) {
	name = strings.TrimSpace(name)
	if err := access.CheckName(name); err != nil {
		return "", &Invalid{"name", err}
	}
	if _, err := ParseRole(string(role)); err != nil {
		return "", &Invalid{"role", err}
	}
	switch _, err := s.Store.PersonByName(ctx, name); {
	case err == nil:
		return "", fmt.Errorf("there is somebody named %q: %w", name, store.ErrNameTaken)
	case !errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("looking up a person: %w", err)
	}
	token, err = s.link(ctx, store.Link{Purpose: store.InviteLink, Name: name, Role: role, CreatedBy: by})
	if err != nil {
		return "", err
	}
	return token, s.Record(ctx, by, fmt.Sprintf("invited %s as %s", name, withArticle(role)))
}

// WithdrawInvitations ends the invitations that nobody has taken up, and says
// how many there were.
func (s *Service) WithdrawInvitations(ctx context.Context, by string) (int64, error) {
	n, err := s.Store.DeleteLinks(ctx, store.InviteLink, 0)
	if err != nil {
		return 0, fmt.Errorf("ending invitations: %w", err)
	}
	if n == 0 {
		return 0, nil
	}
	return n, s.Record(ctx, by, fmt.Sprintf("withdrew %d open invitations", n))
}

// Reset returns a token with which a person sets a new password, in place of
// all such tokens before. The old password works until then, so that nobody is
// locked out by a lost link.
func (s *Service) Reset(ctx context.Context, number int64, by string) (token string, err error) {
	p, err := s.Store.PersonByNumber(ctx, number)
	if err != nil {
		return "", fmt.Errorf("looking up a person: %w", err)
	}
	if !p.DisabledAt.IsZero() {
		return "", &Invalid{"name", fmt.Errorf("%q is disabled: enable it first", p.Name)}
	}
	if _, err := s.Store.DeleteLinks(ctx, store.ResetLink, number); err != nil {
		return "", fmt.Errorf("ending earlier links: %w", err)
	}
	token, err = s.link(ctx, store.Link{Purpose: store.ResetLink, Person: number, Name: p.Name, Role: p.Role, CreatedBy: by})
	if err != nil {
		return "", err
	}
	return token, s.Record(ctx, by, "made a link for a new password of "+p.Name)
}

// link stores a link and returns its token of 128 random bits.
func (s *Service) link(ctx context.Context, l store.Link) (token string, err error) {
	token = rand.Text()
	hash := hashOf(token)
	l.Hash, l.CreatedAt = hash[:], s.now()
	l.ExpiresAt = l.CreatedAt.Add(LinkFor)
	if err := s.Store.PutLink(ctx, l); err != nil {
		return "", fmt.Errorf("storing a link: %w", err)
	}
	return token, nil
}

// FindLink returns what a token is for, and leaves it valid; ErrLink.
func (s *Service) FindLink(ctx context.Context, token string) (store.Link, error) {
	hash := hashOf(token)
	for _, purpose := range purposes {
		l, err := s.Store.FindLink(ctx, hash[:], purpose, s.now())
		if err == nil {
			return l, s.vouched(ctx, &l)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return l, fmt.Errorf("looking up a link: %w", err)
		}
	}
	return store.Link{}, ErrLink
}

// vouched returns ErrLink for a link of somebody who is no operator any more:
// else they could come back by an invitation they made before. Links of the
// command line are nobody's.
func (s *Service) vouched(ctx context.Context, l *store.Link) error {
	p, err := s.Store.PersonByName(ctx, l.CreatedBy)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && p.Operates():
		return nil
	case err != nil:
		return fmt.Errorf("looking up who made a link: %w", err)
	}
	return ErrLink
}

// UseLink ends a link, sets the password it is for, and begins a session. The
// name counts only where the link has none. ErrLink, *Invalid,
// store.ErrNameTaken.
func (s *Service) UseLink(w http.ResponseWriter, r *http.Request, token, name, password string) (*store.Person, error) {
	ctx := r.Context()
	l, err := s.FindLink(ctx, token)
	if err != nil {
		return nil, err
	}
	if l.Name == "" {
		l.Name = strings.TrimSpace(name)
		if err := access.CheckName(l.Name); err != nil {
			return nil, &Invalid{"name", err}
		}
	}
	if err := CheckPassword(password); err != nil {
		return nil, &Invalid{"password", err}
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	if _, err := s.Store.TakeLink(ctx, l.Hash, l.Purpose, s.now()); errors.Is(err, store.ErrNotFound) {
		return nil, ErrLink // somebody else was faster
	} else if err != nil {
		return nil, fmt.Errorf("taking a link: %w", err)
	}
	p, err := s.redeem(ctx, &l, hash)
	if err != nil {
		return nil, err
	}
	if err := s.Record(ctx, p.Name, used[l.Purpose]); err != nil {
		return nil, err
	}
	return &p, s.begin(w, r, &p, s.now())
}

// used says what a person did with a link.
var used = map[store.LinkPurpose]string{
	store.SetupLink:  "became the first operator",
	store.InviteLink: "accepted the invitation",
	store.ResetLink:  "set a new password by a link",
}

// redeem makes or changes the person a link was for.
func (s *Service) redeem(ctx context.Context, l *store.Link, passwordHash string) (store.Person, error) {
	if l.Purpose == store.ResetLink {
		return s.setPassword(ctx, l.Person, passwordHash, func(p *store.Person) error {
			if !p.DisabledAt.IsZero() {
				return ErrLink
			}
			return nil
		})
	}
	by := l.CreatedBy
	if by == "" {
		by = l.Name
	}
	p, err := s.Store.PutPerson(ctx, store.Person{Name: l.Name, Role: l.Role, PasswordHash: passwordHash, CreatedAt: s.now(), CreatedBy: by})
	if err != nil {
		return p, fmt.Errorf("storing a person: %w", err)
	}
	// Now that there is somebody, no link makes a first operator.
	if _, err := s.Store.DeleteLinks(ctx, store.SetupLink, 0); err != nil {
		return p, fmt.Errorf("ending the links for the first operator: %w", err)
	}
	return p, nil
}
