package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"poa/internal/access"
	"poa/internal/config"
	"poa/internal/settings"
	"poa/internal/store"
)

// settingDoc is a setting in force.
type settingDoc struct {
	Name        string `json:"name"`
	Value       any    `json:"value" doc:"Text, true or false, a number or a list of numbers; durations are text such as 24h"`
	Default     any    `json:"default"`
	Source      string `json:"source" doc:"Where the value comes from"`
	Explanation string `json:"explanation"`
	Fixed       string `json:"fixed,omitempty" doc:"Why it cannot be changed at run time; absent where it can"`
	LeftOut     string `json:"left_out,omitempty" doc:"Why the stored value is not in force in this process; absent where it is, and where none is stored"`
}

// asSetting shows a setting as config does, without secrets.
func (s *server) asSetting(v config.Value) (settingDoc, error) {
	text, err := v.MarshalJSON()
	if err != nil {
		return settingDoc{}, fmt.Errorf("showing the setting %s: %w", v.Name, err)
	}
	d := settingDoc{Name: v.Name, Source: v.Source.String(), Explanation: v.Explanation}
	var shown struct{ Value, Default any }
	if err := json.Unmarshal(text, &shown); err != nil {
		return settingDoc{}, fmt.Errorf("showing the setting %s: %w", v.Name, err)
	}
	d.Value, d.Default = shown.Value, shown.Default
	if err := s.Settings.Changeable(v.Name); err != nil {
		d.Fixed = err.Error()
	}
	for _, p := range s.Settings.LeftOut() {
		if p.Setting == v.Name {
			d.LeftOut = p.Message
		}
	}
	return d, nil
}

// changeDoc is a change of a setting.
type changeDoc struct {
	Name string    `json:"name"`
	From any       `json:"from" doc:"What was in force before; null for no pause"`
	To   any       `json:"to"`
	Who  string    `json:"who"`
	Why  string    `json:"why"`
	At   time.Time `json:"at"`
}

func asChange(c store.SettingChange) changeDoc {
	return changeDoc{c.Name, plain(c.From), plain(c.To), c.Who, c.Why, c.At.UTC()}
}

// plain reads a stored value.
func plain(text string) (v any) {
	if json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v
}

func (s *server) settings() {
	register(s, operation{Method: http.MethodGet, Path: "/settings", ID: "listSettings", Tag: "settings", Need: access.View,
		Summary: "List the settings in force"}, s.listSettings)
	register(s, operation{Method: http.MethodPatch, Path: "/settings", ID: "changeSettings", Tag: "settings", Need: access.Operate, Status: http.StatusOK,
		Summary: "Change settings", Description: "All that are named or, if one is refused, none. In force in all processes within seconds. A changed publishing constant makes a new scoring version; a backfill brings the scores to it."}, s.changeSettings)
	register(s, operation{Method: http.MethodGet, Path: "/settings/changes", ID: "listChanges", Tag: "settings", Need: access.View,
		Summary: "List the changes of settings and the pauses", Description: "Latest first."}, s.listChanges)
}

func (s *server) listSettings(context.Context, *struct{}) (*out[items[settingDoc]], error) {
	values := s.Settings.List()
	docs := make([]settingDoc, len(values))
	for i, v := range values {
		var err error
		if docs[i], err = s.asSetting(v); err != nil {
			return nil, err
		}
	}
	return answer(items[settingDoc]{docs}), nil
}

// settingValues are new values by name of the setting. The framework does not
// look into them: it would take the dots of a name for steps of a path, and name
// wrong places from there on.
type settingValues map[string]any

// Schema implements huma.SchemaProvider.
func (settingValues) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true, Description: "By name of the setting",
		Examples: []any{map[string]any{"batch.size": 40}},
	}
}

type changeIn struct {
	Body struct {
		Values settingValues `json:"values"`
		Why    freeText      `json:"why,omitempty" maxLength:"1000" doc:"For the log; must be given"`
	}
}

type changedDoc struct {
	Settings        []settingDoc `json:"settings" nullable:"false" doc:"The settings that were named, as they are in force now"`
	ScoringVersion  int64        `json:"scoring_version"`
	BackfillAdvised bool         `json:"backfill_advised" doc:"The scoring version is new: POST /backfills brings all scores to it"`
}

func (s *server) changeSettings(ctx context.Context, in *changeIn) (*out[changedDoc], error) {
	change := settings.Change{Values: map[string]json.RawMessage{}, Who: who(ctx), Why: string(in.Body.Why)}
	for name, v := range in.Body.Values {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("reading the value of %s: %w", name, err)
		}
		change.Values[name] = text
	}
	before := s.Settings.Current().Policy.Version
	if err := s.Settings.Change(ctx, change); err != nil {
		return nil, err
	}
	doc := changedDoc{Settings: []settingDoc{}, ScoringVersion: s.Settings.Current().Policy.Version}
	doc.BackfillAdvised = doc.ScoringVersion != before
	for _, v := range s.Settings.List() {
		if _, named := in.Body.Values[v.Name]; named {
			d, err := s.asSetting(v)
			if err != nil {
				return nil, err
			}
			doc.Settings = append(doc.Settings, d)
		}
	}
	return answer(doc), nil
}

type changesIn struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Latest changes"`
}

func (s *server) listChanges(ctx context.Context, in *changesIn) (*out[items[changeDoc]], error) {
	var rows []store.SettingChange
	err := s.view(ctx, func(v store.View) (err error) {
		rows, err = v.SettingChanges(ctx, in.Limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the changes of settings: %w", err)
	}
	return all(rows, asChange), nil
}
