package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"poa/internal/access"
	"poa/internal/api"
	"poa/internal/config"
	"poa/internal/dropin"
	"poa/internal/gamesync"
	"poa/internal/imagehost"
	"poa/internal/ledger"
	"poa/internal/live"
	"poa/internal/metrics"
	"poa/internal/operate"
	"poa/internal/overview"
	"poa/internal/panel"
	"poa/internal/people"
	"poa/internal/samples"
	"poa/internal/scheduler"
	"poa/internal/settings"
	"poa/internal/store"
	"poa/internal/store/sqlite"
)

type serveCommand struct {
	Listen  string `placeholder:"ADDRESS" help:"Address and port of the service. [127.0.0.1:8080]"`
	Pprof   string `placeholder:"ADDRESS" help:"Address and port of Go's profiler, on loopback only. [none]"`
	Migrate bool   `help:"Bring the database's tables up to date first."`
}

// flags are the settings given on the command line.
func (c *serveCommand) flags() []config.Flag {
	var flags []config.Flag
	for _, f := range []config.Flag{{Flag: "--listen", Setting: "serve.listen", Value: c.Listen}, {Flag: "--pprof", Setting: "serve.pprof", Value: c.Pprof}} {
		if f.Value != "" {
			flags = append(flags, f)
		}
	}
	return flags
}

const (
	// stopWithin is how long a shutdown takes at most. For noticeFor it still
	// takes connections, so that whoever asks /readyz sends nobody here in vain;
	// after that requests under way are answered, within answerWithin.
	stopWithin   = 10 * time.Second
	noticeFor    = time.Second
	answerWithin = 6 * time.Second
	// readyFor is how long the answer of /readyz is kept, and jobsFor how long
	// that the job queue has its table.
	readyFor = time.Second
	jobsFor  = 5 * time.Second
)

func (c *serveCommand) Run(ctx context.Context, m *Main) error {
	if err := m.openToServe(ctx, c.Migrate); err != nil {
		return err
	}
	s, err := m.newService(ctx)
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	m.printf("poa serves http://%s from %s\n", s.listener.Addr(), m.database())
	if err := s.invite(ctx, m); err != nil && ctx.Err() == nil {
		return errors.Join(err, s.stop())
	}
	select {
	case <-ctx.Done():
		m.log.Info("shutting down")
		err = nil
	case err = <-s.failed:
	}
	return errors.Join(err, s.stop())
}

// invite prints the link with which the first operator is made, as long as
// there is none who can sign in.
func (s *service) invite(ctx context.Context, m *Main) error {
	token, err := s.people.Setup(ctx)
	if err != nil {
		return fmt.Errorf("making a link for the first operator: %w", err)
	}
	if token != "" {
		m.printf("No operator can sign in yet. Make the first one, within 24 hours, at\n  %s%s\n", reachable(s.listener.Addr().String()), people.LinkPath(token))
	}
	return nil
}

// openToServe opens the database and sees that its tables are those of this
// program. It makes them where poa has not touched it.
func (m *Main) openToServe(ctx context.Context, migrate bool) error {
	if err := m.open(ctx); err != nil {
		return err
	}
	if err := m.claim(); err != nil {
		return err
	}
	have, want, err := m.schema(ctx)
	if err != nil {
		return err
	}
	if have == 0 || migrate && have <= want {
		if err := m.migrate(ctx); err != nil {
			return err
		}
	} else if err := m.fits(have, want); err != nil {
		return err
	}
	// A write that changes nothing shows a file or server that takes none.
	if err := m.service().TouchKeys(ctx, map[int64]time.Time{0: m.Now()}); err != nil {
		return fmt.Errorf("writing to %s: %w", m.database(), err)
	}
	return m.warnOfLoss(ctx)
}

// claim sees that no other process serves the database where only one may.
func (m *Main) claim() error {
	file, ok := m.store.(*sqlite.Store)
	if !ok {
		return nil
	}
	err := file.Serve()
	if errors.Is(err, sqlite.ErrServed) {
		return withHint(err, "stop that process first; several processes can serve one PostgreSQL database")
	}
	return err
}

// warnOfLoss warns where the database may lose what it acknowledged.
func (m *Main) warnOfLoss(ctx context.Context) error {
	list, err := m.store.Durability(ctx)
	if err != nil {
		return fmt.Errorf("reading what keeps votes in %s: %w", m.database(), err)
	}
	for _, d := range list {
		if !d.OK {
			m.log.Warn("ACKNOWLEDGED VOTES MAY BE LOST when the database's machine fails", "setting", d.Name, "is", d.Value, "should be", d.Want)
		}
	}
	return nil
}

// service returns the store as what the service needs of it.
func (m *Main) service() store.Service { return m.store.(store.Service) }

// openSettings reads what is in force, with what was changed at run time.
func (m *Main) openSettings(ctx context.Context) (*settings.Service, error) {
	load := func(stored map[string]string) (*config.Config, error) {
		o := m.options()
		o.Stored = stored
		return config.Load(o)
	}
	s, err := settings.Open(ctx, m.service(), settings.Options{Load: load, Who: who, Now: m.Now, Log: m.log})
	if err != nil {
		return nil, fmt.Errorf("reading the settings in %s: %w", m.database(), err)
	}
	return s, nil
}

// service is a running service.
type service struct {
	store     store.Service
	log       *slog.Logger
	settings  *settings.Service
	guard     *access.Guard
	people    *people.Service
	ledger    *ledger.Ledger
	queue     *jobQueue
	scheduler *scheduler.Scheduler
	stream    *live.Stream
	sync      *following          // nil where no game is followed
	writeback *gamesync.Writeback // nil where no scores are written back
	metrics   *metrics.Metrics
	dropin    *dropin.API
	samples   *samples.Recorder
	overview  *overview.Reader
	backlog   *overview.Backlog
	http      []*http.Server
	listener  net.Listener // of the API
	failed    chan error   // of a server that ended by itself
	ready     readiness
}

// newService puts the parts together. The ledger is running then.
func (m *Main) newService(ctx context.Context) (*service, error) {
	s := &service{store: m.service(), log: m.log, failed: make(chan error, 2)}
	var err error
	if s.settings, err = m.openSettings(ctx); err != nil {
		return nil, err
	}
	s.people = people.New(people.Options{Store: s.store, Now: m.Now, Log: m.log})
	if s.guard, err = access.New(s.store, s.people, m.config.Access, m.Now, m.log); err != nil {
		return nil, err
	}
	s.people.Secure = func(r *http.Request) bool { return m.config.Panel.SecureCookies || s.guard.Secure(r) }
	if s.queue, err = m.openQueue(); err != nil {
		return nil, err
	}
	if done, err := s.queue.Migrated(ctx); err != nil || !done {
		if err == nil {
			err = withHint(fmt.Errorf("the tables of the job queue in %s are missing or old", m.database()), "poa migrate, or poa serve --migrate")
		}
		return nil, errors.Join(err, s.queue.Close())
	}
	version := readVersion()
	s.metrics = metrics.New(metrics.Options{Version: version.Version, Revision: version.Revision, Now: m.Now, Log: m.log})
	oldAfter := func() time.Duration { return s.settings.Current().Batch.OldAfter }
	s.stream = live.New(s.store, live.Options{Log: m.log})
	s.backlog = overview.NewBacklog(s.store, oldAfter, s.stream.Unchanged, m.Now)
	s.samples = samples.NewRecorder(samples.Options{Store: s.store, Backlog: s.backlog.Count, Now: m.Now, Log: m.log})
	s.overview = overview.New(overview.Options{
		Store: s.store, Samples: samples.NewReader(s.samples), Steered: s.stream.Steered, Unchanged: s.stream.Unchanged, Now: m.Now,
	})
	s.ledger = ledger.New(s.store, ledger.Options{
		Policy: s.settings.Current().Policy, Now: m.Now, MaxCommit: m.config.Ledger.MaxCommit, MaxQueue: m.config.Ledger.MaxQueue,
		Observer: ledger.Observers{s.metrics, s.samples, nudge{s.stream}}, Log: m.log,
	})
	s.settings.OnChange(func(in *settings.InForce) { s.ledger.SetPolicy(in.Policy) })
	s.scheduler = scheduler.New(scheduler.Options{
		Store: s.store, Queue: s.queue, Settings: s.settings.Current, VotesWaiting: s.ledger.Waiting,
		Process: processName(), Cores: m.databaseCores(), Now: m.Now, Observer: scheduler.Observers{s.metrics, s.samples}, Log: m.log,
	})
	if m.config.Sync.Enabled {
		if s.sync, err = m.newFollowing(s.ledger); err != nil {
			return nil, errors.Join(err, s.ledger.Close(ctx))
		}
	}
	if mode := m.config.Writeback.Mode; mode != gamesync.WriteOff {
		if s.writeback, err = m.newWriteback(ctx, mode, false, nil); err != nil {
			return nil, errors.Join(err, s.ledger.Close(ctx))
		}
	}
	s.ready = readiness{store: s.store, jobs: s.queue.Present, leftOut: s.settings.LeftOut, now: m.Now}
	handler, err := s.handler(m, version.Version)
	if err != nil {
		return nil, errors.Join(err, s.ledger.Close(ctx))
	}
	s.http = append(s.http, &http.Server{
		Addr: m.config.Serve.Listen, Handler: handler, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	})
	if m.config.Serve.Pprof != "" {
		s.http = append(s.http, &http.Server{Addr: m.config.Serve.Pprof, Handler: profiler(), ReadHeaderTimeout: 10 * time.Second})
	}
	return s, nil
}

// nudge has the live stream look at once when this process has committed.
type nudge struct{ stream *live.Stream }

func (n nudge) Committed(ledger.Commit)               { n.stream.Nudge() }
func (n nudge) Answered(*ledger.Vote, *ledger.Answer) {}

// handler is all that is served.
func (s *service) handler(m *Main, version string) (http.Handler, error) {
	byHand := operate.New(operate.Options{Store: s.store, Settings: s.settings.Current, Now: m.Now, Computed: s.samples.Computation})
	v1, err := api.New(api.Options{
		Store: s.store, Votes: s.ledger, Runs: s.scheduler, Settings: s.settings, Operate: byHand, Guard: s.guard, Stream: s.stream,
		Backlog: s.backlog.Latest, Version: version, Now: m.Now, Log: m.log,
	})
	if err != nil {
		return nil, err
	}
	s.dropin = dropin.New(dropin.Options{
		Store: s.store.(dropin.Store), Runs: s.scheduler, Settings: s.settings, Guard: s.guard, Identified: api.Identify, Computed: s.samples.Computation,
		Now: m.Now, Log: m.log,
	})
	images, err := imagehost.Parse(m.config.Panel.ImageHosts)
	if err != nil {
		return nil, fmt.Errorf("panel.image_hosts: %w", err)
	}
	if images, err = images.WithGateway(m.config.Panel.IPFSGateway); err != nil {
		return nil, fmt.Errorf("panel.ipfs_gateway: %w", err)
	}
	jobs, err := s.queue.UI(panel.JobsPath)
	if err != nil {
		return nil, err
	}
	pages, err := panel.New(panel.Options{
		Store: s.store, Votes: s.ledger, Runs: s.scheduler, Settings: s.settings, Operate: byHand, Jobs: jobs, Guard: s.guard, People: s.people, Live: s.stream, Overview: s.overview, Backlog: s.backlog,
		Version: version, Images: images, SampleArt: m.config.Panel.SampleArt, TryIt: m.config.Panel.TryIt, Now: m.Now, Log: m.log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle(api.Prefix+"/", v1)
	for _, path := range dropin.Paths() {
		mux.Handle(path, s.dropin)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.Handle("GET /readyz", &s.ready)
	if m.config.Serve.PublicMetrics {
		mux.Handle("GET /metrics", s.metrics.Handler())
	} else {
		mux.Handle("GET /metrics", api.Guarded(s.guard, access.View, m.log, s.metrics.Handler()))
	}
	return api.Outer(acting(s.stream, api.Problems(mux)), s.guard, m.log, m.Now), nil
}

// acting tells the stream of each request that may have changed something, so
// that whoever asked for it sees it on the next page, and not what is shared
// while nothing happens.
func acting(stream *live.Stream, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			defer stream.Changed()
		}
		h.ServeHTTP(w, r)
	})
}

// profiler serves Go's profiles.
func profiler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// notListening says what to try where an address cannot be listened on.
func notListening(err error) error {
	hint := "give an address of this machine and a port up to 65535: poa serve --listen 127.0.0.1:8081"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "stop what uses that address, or give another one: poa serve --listen 127.0.0.1:8081"
	case errors.Is(err, fs.ErrPermission):
		hint = "give a port from 1024 on, which everybody may use: poa serve --listen 127.0.0.1:8081"
	}
	return withHint(fmt.Errorf("listening: %w", err), "%s", hint)
}

// start starts what runs beside requests, then listens.
func (s *service) start(ctx context.Context) error {
	s.settings.Start()
	s.guard.Start()
	s.people.Start()
	s.samples.Start()
	s.stream.Start()
	sources := metrics.Sources{
		Store: s.store, Settings: s.settings.Current, VotesWaiting: s.ledger.Waiting, Pacing: s.scheduler.Pacing, Live: s.stream.Stats,
		Sync: s.sync.status(),
	}
	if s.writeback != nil {
		sources.Writeback = s.writeback.Stats
	}
	s.metrics.Watch(sources)
	if err := s.scheduler.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	for i, server := range s.http {
		l, err := net.Listen("tcp", server.Addr)
		if err != nil {
			return notListening(err)
		}
		if i == 0 {
			s.listener = l
		} else {
			s.log.Info("profiler", "address", l.Addr().String())
		}
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("serving %s: %w", server.Addr, err)
			}
		}()
	}
	s.sync.start()
	if s.writeback != nil {
		s.writeback.Start()
	}
	return nil
}

// stop ends the service: it is no longer ready, takes no more connections,
// answers the requests under way and commits their votes, and ends everything
// else. What is left of runs goes on in another process, or after the next
// start. The store stays open.
func (s *service) stop() error {
	s.ready.draining.Store(true)
	if s.listener != nil {
		time.Sleep(noticeFor)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin-noticeFor)
	defer cancel()
	var errs []error
	s.dropin.Stop() // what waits for a run answers now
	answering, done := context.WithTimeout(ctx, answerWithin)
	defer done()
	var streaming sync.WaitGroup
	streaming.Go(func() { // its listeners would hold their connections
		if err := s.stream.Stop(answering); err != nil {
			s.log.Warn("live listeners were cut off", "err", err)
		}
	})
	for _, server := range s.http {
		if err := server.Shutdown(answering); err != nil {
			s.log.Warn("requests under way were cut off", "err", err)
			errs = append(errs, server.Close())
		}
	}
	streaming.Wait()
	s.sync.stop()
	if s.writeback != nil {
		s.writeback.Stop() // what is published from here on is written after the next start
	}
	if err := s.ledger.Close(ctx); err != nil {
		errs = append(errs, fmt.Errorf("committing the last votes: %w", err))
	}
	if err := s.scheduler.Stop(ctx); err != nil {
		s.log.Warn("a run was cut off; it goes on elsewhere or after the next start", "err", err)
	}
	s.metrics.Stop()
	s.samples.Stop(ctx)
	s.guard.Stop(ctx)
	s.people.Stop(ctx)
	s.settings.Stop()
	errs = append(errs, s.queue.Close())
	return errors.Join(errs...)
}

// readiness answers /readyz: whether this process can serve.
type readiness struct {
	store    store.Service
	jobs     func(context.Context) (bool, error) // whether the job queue has its table
	leftOut  func() []config.Problem             // stored settings that do not fit here
	now      func() time.Time
	draining atomic.Bool

	mu      sync.Mutex // guards what follows, and is held while looking
	checked time.Time
	reason  string    // why it is not ready, "" where it is
	jobsAt  time.Time // when the job queue was last seen to have its table
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	reason := "the process is shutting down"
	if !r.draining.Load() {
		reason = r.look(q.Context())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if reason != "" {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	var warnings []string
	for _, p := range r.leftOut() {
		warnings = append(warnings, "the stored "+p.Setting+" does not fit and is left out")
	}
	_ = json.NewEncoder(w).Encode(struct { // the client may have gone
		Ready    bool     `json:"ready"`
		Reason   string   `json:"reason,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}{reason == "", reason, warnings})
}

// look looks at the database, at most every readyFor however many ask.
func (r *readiness) look(ctx context.Context) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.checked.IsZero() || now.Sub(r.checked) >= readyFor {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		r.reason, r.checked = r.reasonNow(ctx), now
	}
	return r.reason
}

func (r *readiness) reasonNow(ctx context.Context) string {
	if err := r.store.Ping(ctx); err != nil {
		return "the database cannot be reached or takes no writes"
	}
	have, want, err := r.store.Schema(ctx)
	switch {
	case err != nil:
		return "the database's schema cannot be read"
	case have != want:
		return fmt.Sprintf("the database has schema version %d; this program works with version %d", have, want)
	}
	return r.jobsNow(ctx)
}

// jobsNow looks for the table of the job queue: without it votes are taken, and
// no run begins.
func (r *readiness) jobsNow(ctx context.Context) string {
	now := r.now()
	if !r.jobsAt.IsZero() && now.Sub(r.jobsAt) < jobsFor {
		return ""
	}
	there, err := r.jobs(ctx)
	switch {
	case err != nil:
		return "the tables of the job queue cannot be read"
	case !there:
		return "the tables of the job queue are missing: poa migrate"
	}
	r.jobsAt = now
	return ""
}

// processName names this process among those on the database.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// databaseCores is the number of cores of the database's machine where that is
// this one, and 0 where it is not known.
func (m *Main) databaseCores() int {
	db := m.database()
	if db.Engine == config.SQLite {
		return runtime.NumCPU()
	}
	c, err := pgconn.ParseConfig(db.URL)
	if err != nil {
		return 0
	}
	if ip, err := netip.ParseAddr(c.Host); c.Host == "localhost" || strings.HasPrefix(c.Host, "/") || err == nil && ip.IsLoopback() {
		return runtime.NumCPU()
	}
	return 0
}
