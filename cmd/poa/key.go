package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"poa/internal/access"
	"poa/internal/people"
	"poa/internal/store"
)

type keyCommand struct {
	Create keyCreateCommand `cmd:"" help:"Make an API key and print it, alone. It is shown this once."`
	List   keyListCommand   `cmd:"" help:"Show all keys: their names, roles and last uses."`
	Revoke keyRevokeCommand `cmd:"" help:"End a key. It stops working within seconds."`
}

type keyCreateCommand struct {
	Role string `required:"" enum:"viewer,operator,voter-gateway" placeholder:"ROLE" help:"viewer, operator or voter-gateway."`
	Name string `required:"" placeholder:"NAME" help:"Who or what uses the key; shown in logs."`
}

func (c *keyCreateCommand) Run(ctx context.Context, m *Main) error {
	role, err := access.ParseRole(c.Role)
	if err != nil {
		return usageError{fmt.Errorf("--role %w", err)}
	}
	if err := access.CheckName(c.Name); err != nil {
		return usageError{fmt.Errorf("--name %w", err)}
	}
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	secret, hash := access.NewKey()
	key, err := m.service().PutKey(ctx, store.Key{Name: c.Name, Role: role, Hash: hash, CreatedAt: m.Now().UTC().Truncate(time.Microsecond), CreatedBy: who})
	if errors.Is(err, store.ErrNameTaken) {
		return withHint(fmt.Errorf("there is, or was, a key named %q", c.Name), "give it another --name; poa key list shows all")
	}
	if err != nil {
		return fmt.Errorf("storing the key: %w", err)
	}
	if err := m.people().Record(ctx, who, people.MadeKey(key)); err != nil {
		return err
	}
	return m.answer(struct {
		Key string `json:"key"`
		keyDoc
	}{secret, asKeyDoc(key)}, "%s\n", secret)
}

type keyDoc struct {
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	LastUsed  *time.Time `json:"last_used,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

func asKeyDoc(k store.Key) keyDoc {
	return keyDoc{k.Name, string(k.Role), k.CreatedAt.UTC(), k.CreatedBy, timeOrNil(k.LastUsed), timeOrNil(k.RevokedAt)}
}

// timeOrNil is nil for the zero time.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type keyListCommand struct{}

func (c *keyListCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	keys, err := m.service().Keys(ctx)
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if m.cli.JSON {
		docs := make([]keyDoc, len(keys))
		for i, k := range keys {
			docs[i] = asKeyDoc(k)
		}
		return m.printJSON(docs)
	}
	if len(keys) == 0 {
		m.printf("there is no key yet; poa key create --role viewer --name NAME makes one\n")
		return nil
	}
	t := newTable("~NAME", "ROLE", "CREATED", "LAST USED", "STATE")
	for _, k := range keys {
		used, state := "never", "valid"
		if !k.LastUsed.IsZero() {
			used = ago(k.LastUsed, m.Now())
		}
		if !k.RevokedAt.IsZero() {
			state = "revoked " + ago(k.RevokedAt, m.Now())
		}
		t.add(k.Name, string(k.Role), ago(k.CreatedAt, m.Now()), used, state)
	}
	m.printTable(t)
	return nil
}

type keyRevokeCommand struct {
	Name string `arg:"" help:"Name of the key."`
}

func (c *keyRevokeCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	err := m.service().RevokeKey(ctx, c.Name, m.Now().UTC().Truncate(time.Microsecond))
	if errors.Is(err, store.ErrNotFound) {
		return withHint(fmt.Errorf("there is no key named %q", c.Name), "poa key list shows all")
	}
	if err != nil {
		return fmt.Errorf("revoking the key: %w", err)
	}
	if err := m.people().Record(ctx, who, people.RevokedKey(c.Name)); err != nil {
		return err
	}
	return m.answer(map[string]string{"revoked": c.Name}, "the key %s is revoked; running services refuse it within seconds\n", clean(c.Name))
}
