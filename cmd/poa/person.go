package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"poa/internal/people"
	"poa/internal/store"
)

type personCommand struct {
	Create  personCreateCommand  `cmd:"" help:"Print a one-time link with which somebody chooses a password and signs in."`
	List    personListCommand    `cmd:"" help:"Show who may sign in to the panel."`
	Disable personDisableCommand `cmd:"" help:"Let somebody in no more, and end their sessions."`
	Enable  personEnableCommand  `cmd:"" help:"Let somebody in again who was disabled."`
	Reset   personResetCommand   `cmd:"" help:"Print a one-time link with which somebody sets a new password."`
}

// people returns the service that knows who may sign in.
func (m *Main) people() *people.Service {
	return people.New(people.Options{Store: m.service(), Now: m.Now, Log: m.log})
}

// ready makes an open database ready for changes of who may do what, which are
// logged: a new one has no rules for its log yet.
func (m *Main) ready(ctx context.Context) error {
	_, err := m.policy(ctx)
	return err
}

// linkFlags say under which address the panel is reached.
type linkFlags struct {
	URL string `name:"url" placeholder:"URL" help:"Where the panel is reached from outside, such as https://poa.example.com. [serve.listen]"`
}

// link returns a one-time link as it is handed over.
func (f linkFlags) link(m *Main, token string) string {
	base := strings.TrimSuffix(f.URL, "/")
	if base == "" {
		base = reachable(m.config.Serve.Listen)
	}
	return base + people.LinkPath(token)
}

// reachable is the URL of an address that is listened on, for a browser on the
// same machine.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// linkDoc is a one-time link.
type linkDoc struct {
	Name      string    `json:"name"`
	Role      string    `json:"role,omitempty"`
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (m *Main) printLink(d linkDoc) error {
	d.ExpiresAt = m.Now().UTC().Add(people.LinkFor)
	return m.answer(d, "%s\n", d.Link)
}

type personCreateCommand struct {
	Role string `required:"" enum:"viewer,operator" placeholder:"ROLE" help:"viewer or operator."`
	Name string `required:"" placeholder:"NAME" help:"Shown beside what they change."`
	linkFlags
}

func (c *personCreateCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToWrite(ctx); err != nil {
		return err
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	token, err := m.people().Invite(ctx, c.Name, store.Role(c.Role), who)
	var wrong *people.Invalid
	switch {
	case errors.As(err, &wrong):
		return usageError{fmt.Errorf("--%w", err)}
	case errors.Is(err, store.ErrNameTaken):
		return withHint(fmt.Errorf("there is somebody named %q", c.Name), "give another --name; poa person reset NAME makes a link for a new password")
	case err != nil:
		return err
	}
	return m.printLink(linkDoc{Name: c.Name, Role: c.Role, Link: c.link(m, token)})
}

type personDoc struct {
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"`
	LastSeen   *time.Time `json:"last_seen,omitempty"`
	DisabledAt *time.Time `json:"disabled_at,omitempty"`
}

type personListCommand struct{}

func (c *personListCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToRead(ctx); err != nil {
		return err
	}
	list, err := m.service().People(ctx)
	if err != nil {
		return fmt.Errorf("reading who may sign in: %w", err)
	}
	if m.cli.JSON {
		docs := make([]personDoc, len(list))
		for i, p := range list {
			docs[i] = personDoc{p.Name, string(p.Role), p.CreatedAt.UTC(), p.CreatedBy, timeOrNil(p.LastSeen), timeOrNil(p.DisabledAt)}
		}
		return m.printJSON(docs)
	}
	if len(list) == 0 {
		m.printf("nobody may sign in yet; poa person create --role operator --name NAME makes a link\n")
		return nil
	}
	t := newTable("~NAME", "ROLE", "SINCE", "LAST SEEN", "STATE")
	for _, p := range list {
		seen, state := "never", "enabled"
		if !p.LastSeen.IsZero() {
			seen = ago(p.LastSeen, m.Now())
		}
		if !p.DisabledAt.IsZero() {
			state = "disabled " + ago(p.DisabledAt, m.Now())
		}
		t.add(p.Name, string(p.Role), ago(p.CreatedAt, m.Now()), seen, state)
	}
	m.printTable(t)
	return nil
}

// person opens the database and returns the person with a name.
func (m *Main) person(ctx context.Context, name string) (store.Person, error) {
	if err := m.openToRead(ctx); err != nil {
		return store.Person{}, err
	}
	if err := m.ready(ctx); err != nil {
		return store.Person{}, err
	}
	p, err := m.service().PersonByName(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return p, withHint(fmt.Errorf("there is nobody named %q", name), "poa person list shows all")
	}
	if err != nil {
		return p, fmt.Errorf("looking up a person: %w", err)
	}
	return p, nil
}

type personDisableCommand struct {
	Name string `arg:"" help:"Name of the person."`
}

func (c *personDisableCommand) Run(ctx context.Context, m *Main) error {
	p, err := m.person(ctx, c.Name)
	if err != nil {
		return err
	}
	err = m.people().Disable(ctx, p.Number, who)
	if errors.Is(err, store.ErrLastOperator) {
		return withHint(fmt.Errorf("%s is the only operator", p.Name), "make another one first: poa person create --role operator --name NAME")
	}
	if err != nil {
		return err
	}
	return m.answer(map[string]string{"disabled": p.Name}, "%s is disabled; running services end the sessions within seconds\n", clean(p.Name))
}

type personEnableCommand struct {
	Name string `arg:"" help:"Name of the person."`
}

func (c *personEnableCommand) Run(ctx context.Context, m *Main) error {
	p, err := m.person(ctx, c.Name)
	if err != nil {
		return err
	}
	if err := m.people().Enable(ctx, p.Number, who); err != nil {
		return err
	}
	return m.answer(map[string]string{"enabled": p.Name}, "%s may sign in again\n", clean(p.Name))
}

type personResetCommand struct {
	Name string `arg:"" help:"Name of the person."`
	linkFlags
}

func (c *personResetCommand) Run(ctx context.Context, m *Main) error {
	p, err := m.person(ctx, c.Name)
	if err != nil {
		return err
	}
	token, err := m.people().Reset(ctx, p.Number, who)
	var wrong *people.Invalid
	if errors.As(err, &wrong) {
		return withHint(fmt.Errorf("%s is disabled", p.Name), "poa person enable NAME lets them in again")
	}
	if err != nil {
		return err
	}
	return m.printLink(linkDoc{Name: p.Name, Role: string(p.Role), Link: c.link(m, token)})
}
