package access

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limits hold a rate for each of many names, in bounded memory: names that
// have not been used for long are forgotten, and begin anew.
type Limits struct {
	every rate.Limit
	burst int
	kept  int

	mu            sync.Mutex // guards what follows
	young, ageing map[string]*rate.Limiter
}

// NewLimits returns limits of perMinute events, which may come all at once. A
// perMinute of 0 is no limit. At least the kept names used last are remembered,
// and at most twice as many.
func NewLimits(perMinute, kept int) *Limits {
	l := &Limits{every: rate.Limit(float64(perMinute) / 60), burst: perMinute, kept: kept, young: map[string]*rate.Limiter{}}
	if perMinute <= 0 {
		l.every = rate.Inf
	}
	return l
}

// Take takes n events of a name. Where they are too many now it takes none and
// returns how long to wait. More than may ever come at once take all that may.
func (l *Limits) Take(name string, n int, now time.Time) (wait time.Duration, ok bool) {
	if l.every == rate.Inf {
		return 0, true
	}
	limiter := l.limiter(name)
	n = min(n, l.burst)
	if limiter.AllowN(now, n) {
		return 0, true
	}
	missing := float64(n) - limiter.TokensAt(now)
	return max(time.Second, time.Duration(math.Ceil(missing/float64(l.every)))*time.Second), false
}

func (l *Limits) limiter(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limiter := l.young[name]; limiter != nil {
		return limiter
	}
	limiter := l.ageing[name]
	if limiter == nil {
		limiter = rate.NewLimiter(l.every, l.burst)
	}
	if len(l.young) >= l.kept {
		l.young, l.ageing = make(map[string]*rate.Limiter, l.kept), l.young
	}
	l.young[name] = limiter
	return limiter
}
