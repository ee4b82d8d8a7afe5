package settings

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"poa/internal/config"
)

// Stored settings may not fit in one process although they did where they were
// changed: its own file or variables may hold others, and another version of
// the program may know them otherwise. Such a process leaves them out, rather
// than stand still or not begin.

// fitting makes the configuration of stored settings without those that do not
// fit, which it returns by name. Its error is a *config.Error where settings of
// the other layers do not fit by themselves.
func (s *Service) fitting(stored map[string]string) (*config.Config, []config.Problem, error) {
	kept := maps.Clone(stored)
	delete(kept, agingMarked)
	var leftOut []config.Problem
	for {
		c, err := s.Load(kept)
		var bad *config.Error
		if !errors.As(err, &bad) {
			slices.SortFunc(leftOut, func(a, b config.Problem) int { return strings.Compare(a.Setting, b.Setting) })
			return c, leftOut, err
		}
		blamed := s.blamed(kept, bad.Problems)
		if len(blamed) == 0 {
			return nil, nil, err
		}
		for _, p := range blamed {
			leftOut = append(leftOut, p)
			delete(kept, p.Setting)
		}
	}
}

// blamed returns the stored settings to leave out because of problems, each
// once: those that the problems name; where they name other layers' alone, the
// first without which there are fewer problems, and if no single one helps, all.
// It returns none where the problems are not of the stored ones.
func (s *Service) blamed(stored map[string]string, problems []config.Problem) []config.Problem {
	var named []config.Problem
	for _, p := range problems {
		if _, ok := stored[p.Setting]; !ok || p.Source.Layer != config.FromDatabase {
			continue
		}
		if i := slices.IndexFunc(named, func(q config.Problem) bool { return q.Setting == p.Setting }); i >= 0 {
			named[i].Message += "; " + p.Message
			continue
		}
		named = append(named, p)
	}
	if len(named) > 0 {
		return named
	}
	if _, err := s.Load(nil); err != nil {
		return nil
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.String()
	}
	names := slices.Sorted(maps.Keys(stored))
	for i, name := range names {
		without := maps.Clone(stored)
		delete(without, name)
		_, err := s.Load(without)
		var bad *config.Error
		if err == nil || errors.As(err, &bad) && len(bad.Problems) < len(problems) {
			names = names[i : i+1]
			break
		}
	}
	blamed := make([]config.Problem, len(names))
	for i, name := range names {
		blamed[i] = config.Problem{Setting: name, Source: config.Source{Layer: config.FromDatabase}, Message: "does not fit: " + strings.Join(texts, "; ")}
	}
	return blamed
}

// misfit returns what is wrong with new values beside the stored settings:
// nothing where all of them would be in force, and nothing be left out that was
// in force.
func (s *Service) misfit(stored map[string]string, values map[string]json.RawMessage) ([]config.Problem, error) {
	next := map[string]string{}
	maps.Copy(next, stored)
	delete(next, agingMarked)
	for name, value := range values {
		next[name] = string(value)
	}
	_, err := s.Load(next)
	var bad *config.Error
	if !errors.As(err, &bad) {
		return nil, err
	}
	_, before, err := s.fitting(stored)
	if err != nil {
		return bad.Problems, nil
	}
	_, after, err := s.fitting(next)
	if err != nil {
		return bad.Problems, nil
	}
	for _, p := range after {
		was := slices.ContainsFunc(before, func(q config.Problem) bool { return q.Setting == p.Setting })
		if _, changed := values[p.Setting]; changed || !was {
			return bad.Problems, nil
		}
	}
	return nil, nil
}

// warn tells of settings that are left out, when others are than before.
func (s *Service) warn(leftOut []config.Problem) {
	if now := s.current.Load(); now != nil && slices.Equal(now.leftOut, leftOut) {
		return
	}
	for _, p := range leftOut {
		s.Log.Warn("A STORED SETTING DOES NOT FIT and is left out in this process", "setting", p.Setting, "why", p.Message)
	}
}
