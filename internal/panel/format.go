package panel

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// count writes a whole number with commas: 54,312.
func count[T ~int | ~int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if text[0] == '-' {
		sign, text = "−", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// plural is "1 vote", "2 votes".
func plural[T ~int | ~int64](n T, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// fixed writes a number with so many decimals, – where there is none.
func fixed(x float64, decimals int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	return strings.Replace(strconv.FormatFloat(x, 'f', decimals, 64), "-", "−", 1)
}

// poa writes a POA score or confidence: 47.31.
func poa(x float64) string { return fixed(x, 2) }

// signed writes a change: +1.25, −0.40, 0.00.
func signed(x float64) string {
	text := fixed(x, 2)
	switch {
	case text == "−0.00":
		return "0.00"
	case x > 0 && text != "0.00":
		return "+" + text
	}
	return text
}

// percent writes a percentage: 0 %, 0.4 %, 42.3 %, 100 %.
func percent(x float64) string {
	switch {
	case x == 0 || x == 100:
		return strconv.Itoa(int(x)) + " %"
	case x > 99.9:
		return ">99.9 %"
	case x < 0.1:
		return "<0.1 %"
	}
	return fixed(x, 1) + " %"
}

// span writes a length of time as people say it: 240 ms, 12 s, 5 min,
// 3 h 20 min, 4 d.
func span(d time.Duration) string {
	round := func(unit time.Duration) string { return strconv.Itoa(int(d / unit)) }
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 10*time.Second:
		return fixed(d.Seconds(), 1) + " s"
	case d < time.Minute:
		return round(time.Second) + " s"
	case d < time.Hour:
		return round(time.Minute) + " min"
	case d < 10*time.Hour:
		if m := d % time.Hour / time.Minute; m > 0 {
			return round(time.Hour) + " h " + strconv.Itoa(int(m)) + " min"
		}
		return round(time.Hour) + " h"
	case d < 24*time.Hour:
		return round(time.Hour) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " d"
}

// since writes how long before now a time is, or in how long it comes.
func since(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d.Abs() < 5*time.Second:
		return "just now"
	case d < 0:
		return "in " + span((-d).Truncate(time.Second))
	default:
		return span(d.Truncate(time.Second)) + " ago"
	}
}

// remaining writes how long until a time as a clock: 4:09, 1:02:30.
func remaining(t, now time.Time) string {
	left := max(0, int(t.Sub(now).Seconds()+0.5))
	two := func(n int) string { return strconv.Itoa(n/10) + strconv.Itoa(n%10) }
	if h := left / 3600; h > 0 {
		return strconv.Itoa(h) + ":" + two(left%3600/60) + ":" + two(left%60)
	}
	return strconv.Itoa(left/60) + ":" + two(left%60)
}

// machine is a time as programs read it, and exact as people do.
func machine(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
func exactTime(t time.Time) string {
	return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
}

// words makes words of a name such as run_ended or high_activity.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// within limits a number to 0…100.
func within(x float64) float64 { return min(100, max(0, x)) }

// nftPath is the page of an NFT, collectionPath of a collection and voterPath
// of a voter.
func nftPath(id string) string          { return pathOf("/nfts/", id) }
func collectionPath(name string) string { return pathOf("/collections/", name) }
func voterPath(id string) string        { return pathOf("/voters/", id) }

// pathOf is the path of what an operator gave a name: with the name as its last
// part, or as a parameter where browsers would take that part for another
// folder. Read it with named.
func pathOf(folder, name string) string {
	if name == "." || name == ".." {
		return folder + "?is=" + name
	}
	return folder + url.PathEscape(name)
}

// named is the name in a path made by pathOf: {id} of its pattern, or none.
func named(r *http.Request) string {
	if name := r.PathValue("id"); name != "" {
		return name
	}
	return r.URL.Query().Get("is")
}

// with returns a path with parameters set, or removed where their value is "".
func with(path string, query url.Values, pairs ...string) string {
	q := url.Values{}
	for name, values := range query {
		q[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
