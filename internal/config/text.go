package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Parse reads a value of this setting as people write it, and returns it in
// the setting's type. Its error says what it must be, without the name.
func (v Value) Parse(text string) (any, error) {
	text = strings.TrimSpace(text)
	switch v.Default.(type) {
	case string:
		return text, nil
	case []int64:
		text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	}
	if text == "" {
		return nil, fmt.Errorf("has no value; the default is %s", Format(v.Default))
	}
	value, err := convert(text, v.Default)
	if x, ok := value.(float64); ok && err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
		return nil, fmt.Errorf("must be a number, is %s", text)
	}
	return value, err
}

// Text writes a value of a setting, without its secrets, as Parse reads it.
func (v Value) Text() string { return v.text(v.shown()) }

// DefaultText writes the default likewise.
func (v Value) DefaultText() string { return v.text(v.Default) }

// StoredText writes a value of this setting that was stored with Encode likewise;
// what cannot be read is returned as it is.
func (v Value) StoredText(stored string) string {
	var raw any
	if err := json.Unmarshal([]byte(stored), &raw); err != nil {
		return stored
	}
	value, err := convert(raw, v.Default)
	if err != nil {
		return stored
	}
	return v.text(value)
}

func (v Value) text(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return strings.Trim(Format(value), "[]")
}

// Encode writes a value of a setting as it is stored.
func Encode(value any) (json.RawMessage, error) { return json.Marshal(plain(value)) }

// plain is a value as JSON has it: durations as text.
func plain(value any) any {
	if d, ok := value.(time.Duration); ok {
		return duration(d)
	}
	return value
}

// Explain says what a section or setting is for, "" where there is none of
// that name.
func Explain(name string) string { return explanations()[name] }
