package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// Layer is a place a value can come from.
type Layer string

// The layers, later ones win.
const (
	FromDefault     Layer = "default"
	FromDatabase    Layer = "database" // changed at run time
	FromFile        Layer = "file"
	FromEnvironment Layer = "environment"
	FromFlag        Layer = "flag"
)

// Source says where a value comes from: Name is the path of the file, the
// environment variable or the flag, and empty for a default.
type Source struct {
	Layer Layer  `json:"layer"`
	Name  string `json:"name,omitempty"`
}

func (s Source) String() string {
	if s.Name == "" {
		return string(s.Layer)
	}
	return string(s.Layer) + " " + s.Name
}

// Options say where to look for settings.
type Options struct {
	File  string   // config file that must exist; "" for POA_CONFIG, else those of Places that exist
	Env   []string // KEY=value, as os.Environ gives it
	Flags []Flag
	// Stored are settings kept in the database, JSON by name.
	Stored map[string]string
	// Places are config files that need not exist, later ones win.
	Places []string
}

// Flag is a setting given on the command line.
type Flag struct {
	Flag    string // as written, --database
	Setting string // name
	Value   string
}

// Places returns where config files are looked for when none is named.
func Places() []string { return []string{"/etc/poa/poa.yaml", "poa.yaml"} }

// Config is the result of reading all layers.
type Config struct {
	Settings
	Values   []Value  // every setting, in the order of the table
	Warnings []string // what was found and is probably a mistake
}

// Value is one setting that is in force.
type Value struct {
	Name        string
	Explanation string
	Value       any // string, bool, int, int64, float64, time.Duration or []int64
	Default     any
	Source      Source
}

// Problem is one thing wrong with the settings.
type Problem struct {
	Setting string // name, "" where it is about a whole file
	Source  Source
	Message string
}

func (p Problem) String() string {
	if p.Setting == "" {
		return p.Source.String() + ": " + p.Message
	}
	return fmt.Sprintf("%s (%s): %s", p.Setting, p.Source, p.Message)
}

// Error is all that is wrong with the settings.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return "invalid setting: " + lines[0]
	}
	return "invalid settings:\n  " + strings.Join(lines, "\n  ")
}

// Load reads the settings from all layers. Its error is an *Error with every
// problem found.
func Load(o Options) (*Config, error) {
	l := newLoader()
	l.stored(o.Stored)
	if err := l.files(o); err != nil {
		return nil, err
	}
	l.environment(o.Env)
	for _, f := range o.Flags {
		l.accept(f.Setting, f.Value, Source{FromFlag, f.Flag})
	}
	return l.result()
}

// loader gathers values, their sources and problems while it reads the layers.
type loader struct {
	values   []Value // the table with defaults
	names    []string
	layered  *koanf.Koanf
	sources  map[string]Source
	problems []Problem
	warnings []string
	redact   []*strings.Replacer // takes the passwords of URLs, wherever they were put, out of problems
}

func newLoader() *loader {
	l := &loader{layered: koanf.New("."), sources: make(map[string]Source)}
	explained := explanations()
	walk(reflect.ValueOf(Default()), "", func(name string, v any) {
		l.values = append(l.values, Value{Name: name, Explanation: explained[name], Value: v, Default: v, Source: Source{Layer: FromDefault}})
		l.names = append(l.names, name)
		l.put(name, v, Source{Layer: FromDefault})
	})
	return l
}

// walk calls f with the name and value of every setting in v, in order.
func walk(v reflect.Value, prefix string, f func(name string, value any)) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("koanf")
		if field := v.Field(i); field.Kind() == reflect.Struct {
			walk(field, name+".", f)
		} else {
			f(name, field.Interface())
		}
	}
}

func (l *loader) problem(setting string, source Source, format string, args ...any) {
	l.problems = append(l.problems, Problem{setting, source, fmt.Sprintf(format, args...)})
}

// put lays a value of the right type over what is there.
func (l *loader) put(name string, value any, source Source) {
	if err := l.layered.Load(confmap.Provider(map[string]any{name: value}, "."), nil); err != nil {
		l.problem(name, source, "%v", err)
		return
	}
	l.sources[name] = source
}

// accept checks a setting's type, converts it and puts it.
func (l *loader) accept(name string, raw any, source Source) {
	for _, text := range []string{name, fmt.Sprint(raw)} {
		if strings.Contains(text, "://") {
			l.redact = append(l.redact, Redact(text))
		}
	}
	i := slices.Index(l.names, name)
	if i < 0 {
		l.unknown(name, raw, source)
		return
	}
	value, err := convert(raw, l.values[i].Default)
	if err != nil {
		l.problem(name, source, "%v", err)
		return
	}
	l.put(name, value, source)
}

// unknown reports a name that is no setting, unless it is a section without
// content.
func (l *loader) unknown(name string, raw any, source Source) {
	isSection := func(s string) bool {
		return slices.ContainsFunc(l.names, func(n string) bool { return strings.HasPrefix(n, s+".") })
	}
	if isSection(name) {
		if m, ok := raw.(map[string]any); raw != nil && !(ok && len(m) == 0) {
			l.problem(name, source, "is a section and takes no value of its own; put settings below it")
		}
		return
	}
	for _, n := range l.names {
		if strings.HasPrefix(name, n+".") {
			l.problem(n, source, "takes one value, not settings below it")
			return
		}
	}
	nearest, _ := Nearest(name, l.names)
	l.problem(name, source, "is no setting; did you mean %s?", nearest)
}

// stored reads the settings kept in the database.
func (l *loader) stored(values map[string]string) {
	source := Source{Layer: FromDatabase}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var raw any
		if err := json.Unmarshal([]byte(values[name]), &raw); err != nil {
			l.problem(name, source, "is not JSON: %v", err)
			continue
		}
		l.accept(name, raw, source)
	}
}

func (l *loader) files(o Options) error {
	file := o.File
	if file == "" {
		file = lookup(o.Env, "POA_CONFIG")
	}
	if file != "" {
		return l.file(file)
	}
	for _, place := range o.Places {
		if err := l.file(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// file reads one config file. It returns an error where the file cannot be
// read; what is wrong inside is a problem.
func (l *loader) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the config file: %w", err)
	}
	l.content(text, Source{FromFile, path})
	return nil
}

// content reads the text of a config file.
func (l *loader) content(text []byte, source Source) {
	content, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		l.problem("", source, "is no YAML with settings by name: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	layer := koanf.New(".")
	if err := layer.Load(confmap.Provider(content, ""), nil); err != nil {
		l.problem("", source, "%v", err)
		return
	}
	for _, name := range layer.Keys() {
		l.accept(name, layer.Get(name), source)
	}
}

// Variable returns the environment variable of a setting:
// POA_SCORING_FOLDING_K for scoring.folding.k.
func Variable(name string) string {
	return "POA_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// environment reads the variables of all settings; empty ones count as not
// set. DATABASE_URL, which other programs share, gives way to POA_DATABASE.
func (l *loader) environment(environ []string) {
	settings := map[string]string{"DATABASE_URL": "database"}
	variables := []string{"POA_CONFIG"}
	for _, name := range l.names {
		settings[Variable(name)] = name
		variables = append(variables, Variable(name))
	}
	found, _ := env.Provider("", env.Opt{
		EnvironFunc:   func() []string { return environ },
		TransformFunc: func(key, value string) (string, any) { return key, value },
	}).Read()
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys) // DATABASE_URL comes before POA_DATABASE
	for _, key := range keys {
		value, _ := found[key].(string)
		name, known := settings[key]
		switch {
		case value == "":
		case known:
			l.accept(name, value, Source{FromEnvironment, key})
		case strings.HasPrefix(key, "POA_") && key != "POA_CONFIG":
			// Not an error: orchestrators set variables of their own by this
			// pattern, such as POA_SERVICE_HOST.
			if nearest, d := Nearest(key, variables); d <= 3 {
				l.warnings = append(l.warnings, fmt.Sprintf("the environment variable %s is no setting of poa; did you mean %s?", key, nearest))
			}
		}
	}
}

// lookup returns the value of an environment variable, the last one if there
// are several.
func lookup(environ []string, key string) string {
	for _, entry := range slices.Backward(environ) {
		if k, v, ok := strings.Cut(entry, "="); ok && k == key {
			return v
		}
	}
	return ""
}

// result checks the values that are in force and hands them out.
func (l *loader) result() (*Config, error) {
	c := &Config{Values: l.values, Warnings: l.warnings}
	if err := l.layered.Unmarshal("", &c.Settings); err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	for i, v := range c.Values {
		c.Values[i].Value = l.layered.Get(v.Name)
		c.Values[i].Source = l.sources[v.Name]
	}
	l.validate(&c.Settings)
	if len(l.problems) > 0 {
		for i := range l.problems {
			for _, r := range l.redact {
				p := &l.problems[i]
				p.Setting, p.Message = r.Replace(p.Setting), r.Replace(p.Message)
			}
		}
		return nil, &Error{l.problems}
	}
	return c, nil
}
