package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// shown returns a setting's value without its secrets.
func (v Value) shown() any {
	if v.Name == "database" || v.Name == "sync.from" || v.Name == "writeback.to" {
		return Mask(v.Value.(string))
	}
	return v.Value
}

// MarshalJSON writes a setting without its secrets, durations as text.
func (v Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name        string `json:"name"`
		Value       any    `json:"value"`
		Source      Source `json:"source"`
		Default     any    `json:"default"`
		Environment string `json:"environment"`
		Explanation string `json:"explanation"`
	}{v.Name, plain(v.shown()), v.Source, plain(v.Default), Variable(v.Name), v.Explanation})
}

// Print writes every setting as YAML that can be used as a config file, with
// what it is for and where its value comes from. Passwords are masked.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# The settings in force, with the source of each in parentheses. Any of them\n" +
		"# can be set in a config file like this one, or in the environment:\n" +
		"# " + Variable("log.level") + " for level below log.\n")
	explained := explanations()
	section := ""
	for _, v := range c.Values {
		path, key := "", v.Name
		if i := strings.LastIndexByte(v.Name, '.'); i >= 0 {
			path, key = v.Name[:i], v.Name[i+1:]
		}
		if path != section {
			heading(&b, section, path, explained)
			section = path
		}
		line := fmt.Sprintf("%s%s: %s", indent(path), key, Format(v.shown()))
		pad := max(0, 36-utf8.RuneCountInString(line))
		fmt.Fprintf(&b, "%s%s  # %s (%s)\n", line, strings.Repeat(" ", pad), v.Explanation, v.Source)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// heading opens the sections of path that are not open in section.
func heading(b *strings.Builder, section, path string, explained map[string]string) {
	b.WriteByte('\n')
	names := strings.Split(path, ".")
	for i, name := range names {
		whole := strings.Join(names[:i+1], ".")
		if strings.HasPrefix(section+".", whole+".") {
			continue
		}
		margin := strings.Repeat("  ", i)
		for line := range strings.SplitSeq(explained[whole], "\n") {
			b.WriteString(margin + "# " + line + "\n")
		}
		b.WriteString(margin + name + ":\n")
	}
}

func indent(path string) string {
	if path == "" {
		return ""
	}
	return strings.Repeat("  ", strings.Count(path, ".")+1)
}

// Format writes a setting's value as YAML on one line.
func Format(value any) string {
	switch x := value.(type) {
	case string:
		text, err := yaml.Marshal(x)
		plain := strings.TrimSuffix(string(text), "\n")
		if err != nil || strings.Contains(plain, "\n") {
			return strconv.Quote(x)
		}
		return plain
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case time.Duration:
		return duration(x)
	case []int64:
		return strings.ReplaceAll(fmt.Sprint(x), " ", ", ")
	}
	return fmt.Sprint(value)
}

// duration writes 24h0m0s as 24h.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
