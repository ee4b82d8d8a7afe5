package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poa/internal/batch"
	"poa/internal/config"
	"poa/internal/publish"
	"poa/internal/store"
)

// pollEvery is how soon a change made in another process is noticed.
const pollEvery = time.Second

// unread is the warning where the settings cannot be read anew.
const unread = "the settings could not be read; those before stay in force"

// Options of a Service.
type Options struct {
	// Load reads all layers of the settings, with the stored ones (JSON by name)
	// as one of them.
	Load func(stored map[string]string) (*config.Config, error)
	Who  string           // named as the author of a scoring version this process makes
	Now  func() time.Time // time.Now
	Log  *slog.Logger     // discarded
}

// Service keeps what is in force up to date with what is stored.
type Service struct {
	Options
	store   store.Service
	current atomic.Pointer[state]
	cancel  context.CancelFunc
	loop    sync.WaitGroup

	mu        sync.Mutex // guards what follows, and is held while changing
	listeners []func(*InForce)
}

// state is what was loaded, and from which version of the stored settings.
type state struct {
	InForce
	config  *config.Config
	version int64
	leftOut []config.Problem // by name
}

// Subject is what can be paused.
type Subject string

// The subjects of pauses.
const (
	Batches  Subject = "batches"  // scheduled batches and backfills
	Triggers Subject = "triggers" // votes mark NFTs due instead of computing
)

// pausePrefix begins the names under which pauses are stored beside settings.
const pausePrefix = "pause."

// changed begins the detail of the activity of a change.
const changed = "changed "

// Audited reports whether an activity is of a change or pause, which the audit
// of settings tells in full.
func Audited(a *store.Activity) bool {
	return a.Kind == store.Paused || a.Kind == store.Resumed || a.Kind == store.SettingsChanged && strings.HasPrefix(a.Detail, changed)
}

// PauseName is the name under which the audit of settings has the pauses of a
// subject.
func PauseName(what Subject) string { return pausePrefix + string(what) }

// agingMarked is the name under which the most that batch.aging_votes ever was
// is stored beside settings, where that is more than its default.
const agingMarked = "marked.batch.aging_votes"

// Change is a change of settings, all of it or nothing.
type Change struct {
	Values   map[string]json.RawMessage // by name
	Who, Why string
}

// Refused is the error of a change that cannot be made.
type Refused struct{ Problems []config.Problem }

func (r *Refused) Error() string { return (&config.Error{Problems: r.Problems}).Error() }

func (r *Refused) add(name, message string) {
	r.Problems = append(r.Problems, config.Problem{Setting: name, Source: config.Source{Layer: config.FromDatabase}, Message: message})
}

// Open reads what is in force.
func Open(ctx context.Context, st store.Service, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, store: st}
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Start begins to follow the changes of other processes, and the ends of
// pauses.
func (s *Service) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.loop.Go(func() {
		ticker := time.NewTicker(pollEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if err := s.follow(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn(unread, "err", err)
			}
		}
	})
}

// Stop ends what Start began.
func (s *Service) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.loop.Wait()
}

// Current returns what is in force.
func (s *Service) Current() *InForce { return &s.current.Load().InForce }

// OnChange has f called after each change of what is in force, one call at a
// time.
func (s *Service) OnChange(f func(*InForce)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, f)
}

// List returns every setting with its value and where that comes from.
func (s *Service) List() []config.Value { return s.current.Load().config.Values }

// LeftOut returns, by name, the stored settings that are not in force in this
// process because they do not fit the others here, each with the reason.
func (s *Service) LeftOut() []config.Problem { return s.current.Load().leftOut }

// follow reloads when something was stored, or a pause has run out.
func (s *Service) follow(ctx context.Context) error {
	version, err := s.store.SettingsVersion(ctx)
	if err != nil {
		return fmt.Errorf("reading the version of the settings: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.current.Load()
	if version == now.version && now.Policy.TriggersPaused == now.Triggers.On(s.Now()) {
		return nil
	}
	return s.reload(ctx)
}

// reload reads everything anew and tells the listeners. Where the settings
// cannot be read the pauses are in force all the same. It must not run
// concurrently with itself.
func (s *Service) reload(ctx context.Context) error {
	version, stored, pauses, err := s.stored(ctx)
	if err != nil {
		return err
	}
	next, err := s.configured(ctx, stored)
	if err != nil {
		if now := s.current.Load(); now != nil { // its version is kept, so that follow tries again
			s.putInForce(*now, pauses)
		}
		return err
	}
	next.version = version
	s.putInForce(*next, pauses)
	return nil
}

// configured makes what is in force of stored settings, but for the pauses.
func (s *Service) configured(ctx context.Context, stored map[string]string) (*state, error) {
	c, leftOut, err := s.fitting(stored)
	if err != nil {
		return nil, err
	}
	s.warn(leftOut)
	constants := c.Scoring.Constants()
	version, err := s.store.Prepare(ctx, constants, s.Who, s.Now())
	if err != nil {
		return nil, err
	}
	marked, err := s.marked(ctx, stored, c.Batch.AgingVotes)
	if err != nil {
		return nil, err
	}
	return &state{config: c, leftOut: leftOut, InForce: InForce{
		Batch: c.Batch, Upkeep: c.Upkeep,
		Policy: &publish.Policy{Constants: constants, Version: version, Rules: c.Trigger, AgingVotes: c.Batch.AgingVotes, AgingMarked: marked},
	}}, nil
}

// putInForce puts a state in force with pauses.
func (s *Service) putInForce(next state, pauses map[Subject]Pause) {
	next.Batches, next.Triggers = pauses[Batches], pauses[Triggers]
	policy := *next.Policy
	policy.TriggersPaused = next.Triggers.On(s.Now())
	next.Policy = &policy
	s.current.Store(&next)
	for _, f := range s.listeners {
		f(&next.InForce)
	}
}

// marked returns the most that batch.aging_votes ever was on this database, and
// stores it where that is what it is now.
func (s *Service) marked(ctx context.Context, stored map[string]string, now int64) (int64, error) {
	most := batch.Defaults().AgingVotes
	if text, ok := stored[agingMarked]; ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the stored %s: %w", agingMarked, err)
		}
		most = n
	}
	if now <= most {
		return most, nil
	}
	change := store.SettingChange{
		Name: agingMarked, To: strconv.FormatInt(now, 10), Who: s.Who, Why: "the most that batch.aging_votes was", At: s.now(),
	}
	log := store.Activity{At: change.At, Kind: store.SettingsChanged, Who: s.Who, Detail: "scores are recomputed when old from " + change.To + " votes"}
	if err := s.store.PutSettings(ctx, store.AnyVersion, []store.SettingChange{change}, log); err != nil {
		return 0, fmt.Errorf("storing %s: %w", agingMarked, err)
	}
	return now, nil
}

// stored returns the version of the stored settings, these, and the pauses among
// them.
func (s *Service) stored(ctx context.Context) (int64, map[string]string, map[Subject]Pause, error) {
	// The version before the values: a change in between is noticed next time.
	version, err := s.store.SettingsVersion(ctx)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the version of the settings: %w", err)
	}
	var all map[string]string
	err = s.store.View(ctx, func(v store.View) (err error) {
		all, err = v.Settings(ctx)
		return err
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the stored settings: %w", err)
	}
	pauses := map[Subject]Pause{}
	for name, value := range all {
		subject, ok := strings.CutPrefix(name, pausePrefix)
		if !ok {
			continue
		}
		delete(all, name)
		var p Pause
		if err := json.Unmarshal([]byte(value), &p); err != nil {
			return 0, nil, nil, fmt.Errorf("reading the stored pause of %s: %w", subject, err)
		}
		pauses[Subject(subject)] = p
	}
	return version, all, pauses, nil
}

// RunTime reports whether a setting is one of those that can be changed at run
// time, unless it is fixed in another way.
func RunTime(name string) bool {
	return slices.ContainsFunc([]string{"scoring.publishing.", "trigger.", "batch.", "upkeep."}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Changeable returns nil where a setting can be changed at run time, and why
// it cannot otherwise.
func (s *Service) Changeable(name string) error {
	values := s.List()
	i := slices.IndexFunc(values, func(v config.Value) bool { return v.Name == name })
	switch {
	case i < 0:
		return fmt.Errorf("is no setting")
	case strings.HasPrefix(name, "scoring.folding."):
		return store.ErrFoldingFixed
	case !RunTime(name):
		return fmt.Errorf("belongs to each process by itself; set it in its config file, environment or flags and restart it")
	case values[i].Source.Layer != config.FromDefault && values[i].Source.Layer != config.FromDatabase:
		return fmt.Errorf("is set by %s, which wins; change it there", values[i].Source)
	}
	return nil
}

// changeAttempts is how often a change is checked anew because another process
// stored one in between.
const changeAttempts = 10

// Change checks, stores and audits new values and puts them in force here;
// other processes follow within seconds. Its error is a *Refused that names
// every problem, or that of the store.
func (s *Service) Change(ctx context.Context, c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range changeAttempts {
		version, err := s.checked(ctx, c)
		if err != nil {
			return err
		}
		names := slices.Sorted(maps.Keys(c.Values))
		changes := make([]store.SettingChange, len(names))
		for i, name := range names {
			from, err := s.inForce(name)
			if err != nil {
				return err
			}
			changes[i] = store.SettingChange{Name: name, From: from, To: string(c.Values[name]), Who: c.Who, Why: c.Why, At: s.now()}
		}
		err = s.put(ctx, version, store.SettingsChanged, changed+strings.Join(names, ", ")+": "+c.Why, c.Who, changes...)
		if err == nil {
			return s.reload(ctx)
		}
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("storing settings: %w: others were stored each time meanwhile", store.ErrContention)
}

// inForce returns the value of a setting here as it would be stored.
func (s *Service) inForce(name string) (string, error) {
	values := s.List()
	i := slices.IndexFunc(values, func(v config.Value) bool { return v.Name == name })
	text, err := config.Encode(values[i].Value)
	if err != nil {
		return "", fmt.Errorf("writing the value of %s: %w", name, err)
	}
	return string(text), nil
}

// checked checks a change, and returns the version of the stored settings that
// it was checked with.
func (s *Service) checked(ctx context.Context, c Change) (int64, error) {
	var refused Refused
	if strings.TrimSpace(c.Why) == "" {
		refused.add("why", "must say why the settings are changed")
	}
	version, err := s.check(ctx, c.Values, &refused)
	if err == nil && len(refused.Problems) > 0 {
		err = &refused
	}
	return version, err
}

// Check checks new values as Change does, and changes nothing. Its error is that
// of Change.
func (s *Service) Check(ctx context.Context, values map[string]json.RawMessage) error {
	var refused Refused
	if _, err := s.check(ctx, values, &refused); err != nil {
		return err
	}
	if len(refused.Problems) > 0 {
		return &refused
	}
	return nil
}

// check adds to refused what is wrong with new values, and returns the version
// of the stored settings that they were put beside.
func (s *Service) check(ctx context.Context, values map[string]json.RawMessage, refused *Refused) (int64, error) {
	if len(values) == 0 {
		refused.add("values", "must name at least one setting")
	}
	version, stored, _, err := s.stored(ctx)
	if err != nil {
		return 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := s.Changeable(name); err != nil {
			refused.add(name, err.Error())
		}
	}
	if len(refused.Problems) == 0 {
		refused.Problems, err = s.misfit(stored, values)
	}
	return version, err
}

// Pause pauses a subject, or replaces its pause.
func (s *Service) Pause(ctx context.Context, what Subject, p Pause) error {
	if strings.TrimSpace(p.Reason) == "" {
		return &Refused{[]config.Problem{{Setting: "reason", Message: "must say why " + string(what) + " are paused"}}}
	}
	if !p.Until.IsZero() && !p.Until.After(s.Now()) {
		return &Refused{[]config.Problem{{Setting: "until", Message: "must be in the future; leave it out for a pause without an end"}}}
	}
	p.Since = s.now()
	detail := string(what) + " paused"
	if !p.Until.IsZero() {
		detail += " until " + p.Until.UTC().Format(time.RFC3339)
	}
	return s.putPause(ctx, store.Paused, what, p, detail+": "+p.Reason, p.Who, p.Reason)
}

// Resume ends a pause.
func (s *Service) Resume(ctx context.Context, what Subject, who, why string) error {
	return s.putPause(ctx, store.Resumed, what, Pause{}, string(what)+" resumed", who, why)
}

func (s *Service) putPause(ctx context.Context, kind store.ActivityKind, what Subject, p Pause, detail, who, why string) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.put(ctx, store.AnyVersion, kind, detail, who, store.SettingChange{
		Name: PauseName(what), To: string(value), Who: who, Why: why, At: s.now(),
	})
	if err != nil {
		return err
	}
	err = s.reload(ctx)
	var unfit *config.Error
	if errors.As(err, &unfit) { // a config file that was spoilt since the start: the pause is in force
		s.Log.Warn(unread, "err", err)
		return nil
	}
	return err
}

// put stores changes with their audit entries, as put beside the version asOf,
// and logs them as one activity.
func (s *Service) put(ctx context.Context, asOf int64, kind store.ActivityKind, detail, who string, changes ...store.SettingChange) error {
	log := store.Activity{At: s.now(), Kind: kind, Who: who, Detail: detail}
	if err := s.store.PutSettings(ctx, asOf, changes, log); err != nil {
		return fmt.Errorf("storing settings: %w", err)
	}
	return nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
