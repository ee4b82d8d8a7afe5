package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"poa/internal/ledger"
)

var examples = []string{
	`{"key":"k1","voter":"ann","kind":"matchup","a":"c/1","b":"c/2","outcome":"a","super":true,"cast_at":"2026-01-31T18:30:00.123456Z"}`,
	`{"key":"k2","voter":"ann","kind":"slider","a":"c/1","value":0}`,
	`{"key":"k2","voter":"ann","kind":"slider","a":"c/1","value":-0.0}`,
	`{"key":"\ud83d\ude00","voter":"ann","kind":"fire","a":"\\ud800"}`,
	`{"key":"\ud800\ud800","voter":"ann","kind":"unfire","a":"x"}`,
	`{"key":"\\","voter" :"a:\"b\"","kind"
:"fire","a":"\":"}`, `{"key":"a","key":"b"}`, `{"KEY":"a","key":null,"b":null}`, `null`, `17`, `{`, ``, "\xff", `{"key":"k"}{}`, `[{"key":1}]`,
}

// FuzzDecodeVote sees that every text is a vote or a refusal that names a code,
// and that a vote says what the text says.
func FuzzDecodeVote(f *testing.F) {
	for _, e := range examples {
		f.Add([]byte(e))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := decodeVote(text)
		if err != nil {
			var refusal *ledger.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("%q: %v is no refusal", text, err)
			}
			if m, known := byCode[refusal.Code]; !known || m.status < 400 || m.status > 499 || !utf8.ValidString(refusal.Error()) {
				t.Fatalf("%q: refused with code %q, status %d", text, refusal.Code, m.status)
			}
			return
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatalf("%q is a vote: %v", text, err)
		}
		found := 0
		for name := range names(text) {
			if _, ok := fields[string(name)]; !ok {
				t.Fatalf("%q has no field %q", text, name)
			}
			found++
		}
		if found != len(fields) {
			t.Fatalf("%q has %d fields, %d were looked at", text, len(fields), found)
		}
		if v.Check(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)) != nil {
			return
		}
		doc := map[string]any{"key": v.Key, "voter": v.Voter, "kind": v.Kind.String(), "a": v.A, "super": v.Super}
		if v.B != "" {
			doc["b"] = v.B
		}
		if o := v.Outcome.String(); o != "" {
			doc["outcome"] = o
		}
		if v.Kind.String() == "slider" {
			doc["value"] = v.Value
		}
		if !v.CastAt.IsZero() {
			doc["cast_at"] = v.CastAt
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeVote(again); err != nil || back != v {
			t.Fatalf("%q reads as %+v, which is written as %s and reads as %+v, %v", text, v, again, back, err)
		}
	})
}

// FuzzDecodeMany sees that a body of many votes is taken apart or refused
// whole, and that no line is lost.
func FuzzDecodeMany(f *testing.F) {
	all := bytes.Join([][]byte{[]byte(examples[0]), []byte(examples[1]), []byte("17"), {}, []byte(examples[3])}, []byte("\n"))
	f.Add("application/x-ndjson", all)
	f.Add("application/json", []byte("["+examples[0]+","+examples[1]+"]"))
	f.Add("application/json; charset=utf-8", []byte(`{}`))
	f.Add("text/csv", []byte(`a,b`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		items, err := decodeMany(contentType, body)
		if err != nil {
			if p, _, ok := problemOf(err); !ok || p.Status < 400 || p.Status > 499 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		lines := 0
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if mediaTypeOf(contentType) != "application/json" && len(items) != lines {
			t.Fatalf("%d lines became %d votes", lines, len(items))
		}
		for _, item := range items {
			_, _ = decodeVote(item)
		}
	})
}

// FuzzCursor sees that no cursor of a client breaks a list.
func FuzzCursor(f *testing.F) {
	f.Add(numberCursor("nft", 5))
	f.Add(seal("rank", "87.5/3/12"))
	f.Add(seal("rank", "NaN/3/12"))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		p := Page{Limit: 10, Cursor: cursor}
		if n, err := p.number("nft"); err == nil && n < 0 || err == nil && n == 0 && cursor != "" {
			t.Fatalf("%q is number %d", cursor, n)
		}
		if r, err := p.rank(); err == nil && r != nil && (r.key.NFT <= 0 || !(r.key.POA >= 0 && r.key.POA <= 100)) {
			t.Fatalf("%q is rank %+v", cursor, r)
		}
	})
}
