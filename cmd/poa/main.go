// Command poa keeps Proof-of-Aesthetic scores fresh while people vote.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"poa/internal/config"
	"poa/internal/samples"
	"poa/internal/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	// A write beyond a limit of the file's size then fails like one on a full
	// disk, instead of ending the program.
	signal.Ignore(syscall.SIGXFSZ)
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Environ(), Program: os.Args[0], Args: os.Args[1:], Now: time.Now}
	os.Exit(m.Run(ctx))
}

// Exit codes of the program.
const (
	exitOK       = 0
	exitFindings = 1 // it worked, and found what it was asked to look for: rejected rows, differences, a refused vote
	exitFailure  = 2 // wrong usage, or it did not work
)

// Main is the program with all that it takes from its surroundings.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            []string // KEY=value
	Program        string   // as it was called, "" for poa
	Args           []string // without the program's name
	Now            func() time.Time

	cli     commands
	command string // as chosen on the command line, such as "poa config print"
	config  *config.Config
	store   store.Store
	samples *samples.Recorder // nil until something is to be counted
	log     *slog.Logger
	errs    io.Writer // Stderr without passwords
}

// commands is the command line.
type commands struct {
	Database string `placeholder:"WHERE" help:"Database: sqlite:PATH, a path ending in .db, or a postgres:// URL. Also from DATABASE_URL. [sqlite:poa.db]"`
	Config   string `placeholder:"FILE" help:"Config file (YAML). Also from POA_CONFIG. [/etc/poa/poa.yaml and ./poa.yaml, where they exist]"`
	JSON     bool   `name:"json" help:"Print JSON, errors too."`
	Verbose  bool   `short:"v" help:"Log what is done in detail."`

	Import      importCommand      `cmd:"" help:"Read votes or NFTs from CSV or JSONL files."`
	Export      exportCommand      `cmd:"" help:"Write scores, history, votes, ratings or NFTs to CSV or JSONL."`
	Demo        demoCommand        `cmd:"" help:"Play the whole game on generated NFTs, with voters that go on voting."`
	Sample      sampleCommand      `cmd:"" help:"Write a small generated sample into the database."`
	Vote        voteCommand        `cmd:"" help:"Cast one vote."`
	Compute     computeCommand     `cmd:"" help:"Compute scores exactly, of some NFTs or all."`
	Score       scoreCommand       `cmd:"" help:"Explain the score of an NFT."`
	Top         topCommand         `cmd:"" help:"Show the NFTs with the highest scores."`
	Collections collectionsCommand `cmd:"" help:"Show all collections with their totals."`
	Trigger     triggerCommand     `cmd:"" help:"Look into the triggers."`
	Verify      verifyCommand      `cmd:"" help:"Fold the vote log again and compare the result with the database."`
	Migrate     migrateCommand     `cmd:"" help:"Create the database's tables or bring them up to date."`
	Bench       benchCommand       `cmd:"" help:"Measure what votes and computations cost on this machine, on databases of its own."`
	Serve       serveCommand       `cmd:"" help:"Run the service: votes over HTTP, the schedule, and what it does to be watched."`
	Sync        syncCommand        `cmd:"" help:"Read the votes of a game out of its PostgreSQL tables, and follow them."`
	Writeback   writebackCommand   `cmd:"" help:"Write scores into the columns that a game keeps them in, or try that beside them."`
	Key         keyCommand         `cmd:"" help:"Make, show and revoke the API keys of the service."`
	Person      personCommand      `cmd:"" help:"Say who may sign in to the panel."`
	Batch       batchCommand       `cmd:"" help:"Look into the batches."`
	Backup      backupCommand      `cmd:"" help:"Copy an SQLite database while it is in use."`
	Settings    configCommand      `cmd:"" name:"config" help:"Look into the settings."`
	Version     versionCommand     `cmd:"" help:"Show the program's version."`
}

// Run carries out the command line and returns the exit code. When ctx ends,
// it stops at the next safe point.
func (m *Main) Run(ctx context.Context) int {
	m.errs = &redactor{w: m.Stderr}
	for _, text := range append(m.Args[:len(m.Args):len(m.Args)], m.Env...) {
		m.hide(text)
	}
	run, err := m.ParseFlags(m.Args)
	if err == nil && run != nil {
		err = run(ctx)
	}
	err = errors.Join(err, m.Close())
	return m.report(ctx, err)
}

// ParseFlags reads the command line and the settings, and returns the chosen
// command; nil where the line asked only for help, which is printed.
func (m *Main) ParseFlags(args []string) (func(context.Context) error, error) {
	exited := false
	parser, err := kong.New(&m.cli,
		kong.Name("poa"),
		kong.Description("Keeps Proof-of-Aesthetic scores of NFTs fresh while people vote.\n\nStart with: poa sample && poa top"),
		kong.Writers(m.Stdout, m.errs),
		kong.Exit(func(int) { exited = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited {
		return nil, nil
	}
	if err != nil {
		m.cli.JSON = m.cli.JSON || asksForJSON(args)
		if wrong := (*kong.ParseError)(nil); errors.As(err, &wrong) {
			m.command = chosen(wrong.Context)
		}
		return nil, usageError{misparsed{err}}
	}
	m.command = chosen(parsed)
	m.log = slog.New(slog.DiscardHandler)
	if parsed.Command() != "version" {
		if err := m.configure(); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		parsed.BindTo(ctx, (*context.Context)(nil))
		return parsed.Run(m)
	}, nil
}

// misparsed is an error of the parser without what it advises on numbers: where
// one that is negative is not understood, it is not allowed either.
type misparsed struct{ error }

func (e misparsed) Unwrap() error { return e.error }

func (e misparsed) Error() string {
	message, advice, _ := strings.Cut(e.error.Error(), "; perhaps try ")
	if advice == "" || strings.Contains(message, "expected string") {
		return e.error.Error()
	}
	return strings.TrimSuffix(message, " (short flag)")
}

// chosen returns the command a line names as far as it could be read.
func chosen(parsed *kong.Context) string {
	if node := parsed.Selected(); node != nil {
		return node.FullPath()
	}
	return "poa"
}

// asksForJSON reads a line that the parser refused.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "--json" {
			return true
		}
	}
	return false
}

// options say where the settings are read from.
func (m *Main) options() config.Options {
	o := config.Options{File: m.cli.Config, Env: m.Env, Places: config.Places()}
	if m.cli.Database != "" {
		o.Flags = append(o.Flags, config.Flag{Flag: "--database", Setting: "database", Value: m.cli.Database})
	}
	if m.cli.Verbose {
		o.Flags = append(o.Flags, config.Flag{Flag: "--verbose", Setting: "log.level", Value: "debug"})
	}
	o.Flags = append(o.Flags, m.cli.Serve.flags()...)
	o.Flags = append(o.Flags, m.cli.Sync.flags()...)
	o.Flags = append(o.Flags, m.cli.Writeback.flags()...)
	return o
}

// configure reads the settings and sets logging up.
func (m *Main) configure() error {
	c, err := config.Load(m.options())
	if err != nil {
		return err
	}
	m.config = c
	m.hide(c.Database)
	m.hide(c.Sync.From)
	m.hide(c.Writeback.To)
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	m.log = slog.New(slog.NewTextHandler(m.errs, options))
	if c.Log.Format == "json" {
		m.log = slog.New(slog.NewJSONHandler(m.errs, options))
	}
	for _, w := range c.Warnings {
		m.log.Warn(w)
	}
	return nil
}

// Close gives the database back. It may be called more than once.
func (m *Main) Close() error {
	if m.store == nil {
		return nil
	}
	m.endRecorder()
	err := m.store.Close()
	m.store = nil
	if err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// hide keeps the passwords of a database URL in text out of all that is
// written to standard error.
func (m *Main) hide(text string) {
	scheme := strings.Index(text, "://")
	if scheme < 0 {
		return
	}
	start := strings.LastIndexFunc(text[:scheme], func(r rune) bool { return r < 'a' || r > 'z' }) + 1
	r := m.errs.(*redactor)
	r.replacers = append(r.replacers, config.Redact(text[start:]))
}

// redactor replaces secrets in what passes through. Every Write must hold
// whole lines, as those of loggers and of fmt do.
type redactor struct {
	w         io.Writer
	replacers []*strings.Replacer
}

func (r *redactor) Write(p []byte) (int, error) {
	text := string(p)
	for _, replacer := range r.replacers {
		text = replacer.Replace(text)
	}
	if _, err := io.WriteString(r.w, text); err != nil {
		return 0, err
	}
	return len(p), nil
}
