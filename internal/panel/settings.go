package panel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"poa/internal/access"
	"poa/internal/batch"
	"poa/internal/config"
	"poa/internal/settings"
)

func (p *Panel) settingsRoutes() []route {
	return []route{
		{"GET", "/settings", access.View, p.showSettings},
		{"POST", "/settings/check", access.Operate, p.checkSettings},
		{"POST", "/settings/review", access.Operate, p.reviewSettings},
		{"POST", "/settings", access.Operate, p.changeSettings},
	}
}

const (
	// settingField and settingWas begin the names of the fields of a form: a
	// setting's value, and what it was when the change was reviewed.
	settingField = "s."
	settingWas   = "was."

	foldingSection    = "scoring.folding"
	publishingSection = "scoring.publishing"
)

// settingGroups are the cards of the page, in its order. The settings of a
// group are those right below its section. When says when a change is in force.
var settingGroups = [...]struct{ section, title, when string }{
	{"trigger", "Triggers", "In force within seconds, for votes from then on."},
	{"batch", "Batches", "In force within seconds. A run under way goes on with what it has planned."},
	{"batch.adaptive", "Adaptive pacing", "In force within seconds, where the mode is adaptive."},
	{"batch.retry", "Retries", "In force within seconds, for failures from then on."},
	{publishingSection, "Score formula", "Each score follows when it is next computed; a backfill brings all there."},
	{foldingSection, "Folding constants", "The ratings in this database were folded with these, so they stay."},
	{"upkeep", "Upkeep", "In force within seconds, for the next upkeep."},
	{"ledger", "Vote intake", ofProcess},
	{"serve", "Service", ofProcess},
	{"access", "Access", ofProcess},
	{"panel", "Panel", ofProcess},
	{"sync", "Sync with a game", ofProcess},
	{"writeback", "Writing back to a game", ofProcess},
	{"log", "Log", ofProcess},
	{"", "Database", ofProcess},
}

const ofProcess = "Each process has its own: set them in its config file, environment or flags. In force from its next start."

// settingsView is what the page of settings shows.
type settingsView struct {
	Groups  []settingGroup
	Edit    bool   // the person who looks may change them
	Problem string // what is wrong with no setting in particular
}

// settingGroup is a card of settings.
type settingGroup struct {
	ID, Title, Section, Text, When string
	Rows                           []settingRow
}

// settingRow is a setting as it is shown.
type settingRow struct {
	config.Value
	Short string // its name within its section
	Field string // what stands in its field
	Error string
	Fixed string // why it cannot be changed here, "" where it can
}

// settingChange is a setting that is to be changed.
type settingChange struct {
	config.Value
	To  any
	Raw json.RawMessage // To as it is stored
}

func (c *settingChange) from() string { return c.Text() }
func (c *settingChange) to() string {
	v := c.Value
	v.Value = c.To
	return v.Text()
}

// reviewView is what is asked before settings are changed.
type reviewView struct {
	Changes    []settingChange
	Publishing bool  // scores get a new version
	Rated      int64 // NFTs with votes, which a backfill computes
	Backfill   bool
	Why, Err   string
	Moved      bool // somebody else has changed one of them meanwhile
}

func (p *Panel) showSettings(w http.ResponseWriter, r *http.Request) error {
	return p.renderSettings(w, r, http.StatusOK, nil, nil)
}

// renderSettings shows all settings, with the texts of a form and what is wrong
// with them by name.
func (p *Panel) renderSettings(w http.ResponseWriter, r *http.Request, status int, texts, problems map[string]string) error {
	v := settingsView{Edit: operates(r.Context()), Problem: problems[""]}
	if out := p.Settings.LeftOut(); v.Problem == "" && len(out) > 0 {
		v.Problem = plural(len(out), "stored setting") + " not in force in this process, because of others: see below. Change one of them so that they fit"
	}
	values := p.Settings.List()
	for _, g := range settingGroups {
		group := settingGroup{ID: "g-" + strings.ReplaceAll(g.section, ".", "-"), Title: g.title, Section: g.section, Text: sectionText(g.section), When: g.when}
		for _, value := range values {
			if section, short := splitName(value.Name); section == g.section {
				group.Rows = append(group.Rows, p.settingRow(value, short, texts, problems))
			}
		}
		v.Groups = append(v.Groups, group)
	}
	head := page{Title: "Settings", Sub: "What is in force, where it comes from, and when a change of it is.", Scripts: []string{"settings.js"}}
	return p.renderStatus(w, r, status, head, settingsPage(v))
}

func (p *Panel) settingRow(v config.Value, short string, texts, problems map[string]string) settingRow {
	row := settingRow{Value: v, Short: short, Field: v.Text(), Error: problems[v.Name]}
	if text, ok := texts[v.Name]; ok {
		row.Field = text
	}
	for _, q := range p.Settings.LeftOut() {
		if q.Setting == v.Name && row.Error == "" {
			row.Error = "the stored value is left out: " + q.Message
		}
	}
	if err := p.Settings.Changeable(v.Name); err != nil {
		row.Fixed = err.Error()
	}
	return row
}

// sectionText is what a section is for, in one line.
func sectionText(section string) string {
	return strings.ReplaceAll(config.Explain(section), "\n", " ")
}

func splitName(name string) (section, short string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// settingChoices are the values a setting is chosen from, nil where it is
// written.
func settingChoices(name string) []string {
	if name == "batch.mode" {
		return []string{batch.Fixed, batch.Adaptive}
	}
	return nil
}

// settingTexts returns the fields of a form by setting. Of several with one name
// the last counts: a checkbox comes after the value for when it is off.
func settingTexts(form url.Values, prefix string) map[string]string {
	texts := map[string]string{}
	for name, values := range form {
		if setting, ok := strings.CutPrefix(name, prefix); ok && len(values) > 0 {
			texts[setting] = values[len(values)-1]
		}
	}
	return texts
}

// settingChanges returns which settings the texts would change, in the order of
// the table, and what is wrong with any of them by name, "" for all together.
func (p *Panel) settingChanges(r *http.Request, texts map[string]string) ([]settingChange, map[string]string, error) {
	problems := map[string]string{}
	var changes []settingChange
	known := 0
	for _, v := range p.Settings.List() {
		text, ok := texts[v.Name]
		if !ok {
			continue
		}
		known++
		c, err := changeOf(v, text)
		if err != nil {
			problems[v.Name] = err.Error()
		} else if c.Raw != nil {
			changes = append(changes, c)
		}
	}
	if known < len(texts) {
		problems[""] = "the form names what is no setting; load the page again"
	}
	if len(changes) == 0 {
		return changes, problems, nil
	}
	// Also where some cannot be read: all that is wrong is told at once.
	values := map[string]json.RawMessage{}
	for _, c := range changes {
		values[c.Name] = c.Raw
	}
	err := p.Settings.Check(r.Context(), values)
	var refused *settings.Refused
	if errors.As(err, &refused) {
		refusals(refused, problems)
		return changes, problems, nil
	}
	return changes, problems, err
}

// changeOf reads a text as the new value of a setting. Its Raw is nil where that
// is the value in force.
func changeOf(v config.Value, text string) (c settingChange, err error) {
	if strings.TrimSpace(text) == v.Text() {
		return c, nil
	}
	if c.To, err = v.Parse(text); err != nil {
		return c, err
	}
	now, err := config.Encode(v.Value)
	if err != nil {
		return c, fmt.Errorf("writing %s: %w", v.Name, err)
	}
	raw, err := config.Encode(c.To)
	if err != nil {
		return c, fmt.Errorf("writing %s: %w", v.Name, err)
	}
	if string(now) != string(raw) {
		c.Value, c.Raw = v, raw
	}
	return c, nil
}

// refusals adds the problems of a refusal by name.
func refusals(refused *settings.Refused, problems map[string]string) {
	for _, q := range refused.Problems {
		if before := problems[q.Setting]; before != "" {
			q.Message = before + "; " + q.Message
		}
		problems[q.Setting] = q.Message
	}
}

// checkedSettings is the answer to a form that is checked while it is written.
type checkedSettings struct {
	Problems   map[string]string `json:"problems"` // sentences by name
	Changed    []string          `json:"changed"`
	Publishing bool              `json:"publishing"` // scores would get a new version
}

func (p *Panel) checkSettings(w http.ResponseWriter, r *http.Request) error {
	changes, problems, err := p.settingChanges(r, settingTexts(r.PostForm, settingField))
	if err != nil {
		return err
	}
	got := checkedSettings{Problems: map[string]string{}, Changed: []string{}}
	for name, text := range problems {
		got.Problems[name] = sentence(text)
	}
	for _, c := range changes {
		got.Changed = append(got.Changed, c.Name)
		got.Publishing = got.Publishing || isPublishing(c.Name)
	}
	return p.json(w, got)
}

func isPublishing(name string) bool { return strings.HasPrefix(name, publishingSection+".") }

func (p *Panel) reviewSettings(w http.ResponseWriter, r *http.Request) error {
	texts := settingTexts(r.PostForm, settingField)
	changes, problems, err := p.settingChanges(r, texts)
	switch {
	case err != nil:
		return err
	case len(problems) > 0:
		return p.renderSettings(w, r, http.StatusUnprocessableEntity, texts, problems)
	case len(changes) == 0:
		return p.refuse(w, r, "/settings", "Nothing was changed: every value is the one in force.")
	}
	return p.renderReview(w, r, http.StatusOK, reviewView{Changes: changes})
}

func (p *Panel) renderReview(w http.ResponseWriter, r *http.Request, status int, v reviewView) error {
	v.Publishing = slices.ContainsFunc(v.Changes, func(c settingChange) bool { return isPublishing(c.Name) })
	if v.Publishing {
		o, err := p.Overview.Overview(r.Context())
		if err != nil {
			return fmt.Errorf("reading how many NFTs have votes: %w", err)
		}
		v.Rated = o.Scored + o.Ready
	}
	head := page{Title: "Review the changes", Sub: "Nothing is changed yet.", Crumb: "Settings", CrumbPath: "/settings"}
	return p.renderStatus(w, r, status, head, settingsReview(v))
}

// changeSettings makes a change that was reviewed, if what it replaces is still
// what the review showed.
func (p *Panel) changeSettings(w http.ResponseWriter, r *http.Request) error {
	texts := settingTexts(r.PostForm, settingField)
	changes, problems, err := p.settingChanges(r, texts)
	switch {
	case err != nil:
		return err
	case len(problems) > 0:
		return p.renderSettings(w, r, http.StatusUnprocessableEntity, texts, problems)
	case len(changes) == 0:
		return p.refuse(w, r, "/settings", "Nothing was changed: every value is the one in force.")
	}
	v := reviewView{Changes: changes, Why: strings.TrimSpace(r.PostFormValue("why")), Backfill: r.PostFormValue("backfill") != ""}
	was := settingTexts(r.PostForm, settingWas)
	for i := range changes {
		v.Moved = v.Moved || was[changes[i].Name] != changes[i].from()
	}
	switch {
	case v.Moved:
		return p.renderReview(w, r, http.StatusConflict, v)
	case v.Why == "":
		v.Err = "say why, for those who look at the audit log later"
		return p.renderReview(w, r, http.StatusUnprocessableEntity, v)
	}
	change := settings.Change{Values: map[string]json.RawMessage{}, Who: who(r), Why: v.Why}
	for _, c := range changes {
		change.Values[c.Name] = c.Raw
	}
	if err := p.Settings.Change(r.Context(), change); err != nil {
		return err
	}
	told := plural(len(changes), "setting") + " changed."
	if slices.ContainsFunc(changes, func(c settingChange) bool { return isPublishing(c.Name) }) {
		told += fmt.Sprintf(" Scores computed from now on have scoring version %d.", p.Settings.Current().Policy.Version)
		if v.Backfill {
			if _, err := p.Runs.Backfill(r.Context(), nil, "settings "+machine(p.now()), who(r)); err != nil {
				return fmt.Errorf("starting the backfill; the settings are changed: %w", err)
			}
			told += " The backfill has begun."
		}
	}
	return p.done(w, r, "/settings", told)
}
