package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"poa/internal/imagehost"
)

// convert returns raw, a value from YAML or text from elsewhere, in the type
// of like.
func convert(raw, like any) (any, error) {
	if raw == nil {
		return nil, fmt.Errorf("has no value; remove the line for the default, %s", Format(like))
	}
	text, isText := raw.(string)
	switch like.(type) {
	case string:
		if isText {
			return text, nil
		}
		return nil, errors.New("must be text; put it in quotes") // raw may hold a password
	case bool:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
		return nil, fmt.Errorf("must be true or false, is %v", raw)
	case int:
		n, err := whole(raw)
		return int(n), err
	case int64:
		return whole(raw)
	case float64:
		return number(raw)
	case time.Duration:
		if d, err := time.ParseDuration(text); err == nil {
			return d, nil
		}
		return nil, fmt.Errorf("must be a duration with its unit, such as 90m or 24h, is %v", raw)
	case []int64:
		return wholes(raw)
	}
	return nil, fmt.Errorf("has a type that cannot be set: %T", like)
}

func whole(raw any) (int64, error) {
	switch x := raw.(type) {
	case int:
		return int64(x), nil
	case int64:
		return x, nil
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x), nil
		}
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("must be a whole number, is %v", raw)
}

func number(raw any) (float64, error) {
	switch x := raw.(type) {
	case int:
		return float64(x), nil
	case int64:
		return float64(x), nil
	case uint64:
		return float64(x), nil
	case float64:
		return x, nil
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(x), 64); err == nil {
			return f, nil
		}
	}
	return 0, fmt.Errorf("must be a number, is %v", raw)
}

// wholes reads a list of whole numbers, as text separated by commas.
func wholes(raw any) ([]int64, error) {
	var items []any
	switch x := raw.(type) {
	case []any:
		items = x
	case string:
		for _, item := range strings.Split(x, ",") {
			items = append(items, item)
		}
	default:
		return nil, fmt.Errorf("must be a list of whole numbers, such as [5, 10], is %v", raw)
	}
	numbers := make([]int64, len(items))
	for i, item := range items {
		n, err := whole(item)
		if err != nil {
			return nil, fmt.Errorf("must be a list of whole numbers, such as [5, 10]; %v is none", item)
		}
		numbers[i] = n
	}
	return numbers, nil
}

// validate reports every value out of its range, with the sources of those
// involved.
func (l *loader) validate(s *Settings) {
	if _, err := ParseDatabase(s.Database); err != nil {
		l.invalid("database", err.Error())
	}
	l.oneOf("log.level", s.Log.Level, Levels[:])
	l.oneOf("log.format", s.Log.Format, Formats[:])
	l.section("scoring.folding", s.Scoring.Folding.Validate())
	l.section("scoring.publishing", s.Scoring.Publishing.Validate())
	l.section("trigger", s.Trigger.Validate())
	l.section("batch", s.Batch.Validate())
	l.section("upkeep", s.Upkeep.Validate())
	l.within("ledger.max_commit", s.Ledger.MaxCommit, MaxCommit)
	l.within("ledger.max_queue", s.Ledger.MaxQueue, MaxQueue)
	l.section("access", s.Access.Validate())
	l.section("sync", s.Sync.Validate())
	l.section("writeback", s.Writeback.Validate())
	l.serve(s.Serve)
	if _, err := imagehost.Parse(s.Panel.ImageHosts); err != nil {
		l.invalid("panel.image_hosts", err.Error())
	}
	if _, err := (imagehost.Hosts{}).WithGateway(s.Panel.IPFSGateway); err != nil {
		l.invalid("panel.ipfs_gateway", err.Error())
	}
}

func (l *loader) serve(s Serve) {
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		l.invalid("serve.listen", fmt.Sprintf("must be an address and a port, such as 127.0.0.1:8080 or :8080, is %q", s.Listen))
	}
	if s.Pprof != "" && !Loopback(s.Pprof) {
		l.invalid("serve.pprof", fmt.Sprintf("must be a loopback address and a port, such as 127.0.0.1:6060, is %q", s.Pprof))
	}
	if s.PublicMetrics && !Loopback(s.Listen) {
		l.invalid("serve.public_metrics", fmt.Sprintf("is possible only where serve.listen is on loopback, which is %q", s.Listen))
	}
}

// Loopback reports whether an address and port is reached from this machine
// alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (l *loader) invalid(name, message string) {
	l.problem(name, l.sources[name], "%s", message)
}

func (l *loader) oneOf(name, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		l.invalid(name, fmt.Sprintf("must be one of %s, is %q", strings.Join(allowed, ", "), value))
	}
}

func (l *loader) within(name string, value, most int) {
	if value < 1 || value > most {
		l.invalid(name, fmt.Sprintf("must be from 1 to %d, is %d", most, value))
	}
}

// section reports the joined errors of a Validate method, each starting with
// the name of the setting. Where that one has its default, another setting of
// the section is to blame: those that were set are named.
func (l *loader) section(prefix string, err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, err := range joined.Unwrap() {
		key, message, _ := strings.Cut(err.Error(), ": ")
		name := prefix + "." + key
		if l.sources[name].Layer == FromDefault {
			message += l.setIn(prefix)
		}
		l.invalid(name, message)
	}
}

func (l *loader) setIn(prefix string) string {
	var set []string
	for _, name := range l.names {
		if strings.HasPrefix(name, prefix+".") && l.sources[name].Layer != FromDefault {
			set = append(set, fmt.Sprintf("%s (%s)", name, l.sources[name]))
		}
	}
	if len(set) == 0 {
		return ""
	}
	return "; set are " + strings.Join(set, ", ")
}
