package batch

import (
	"fmt"
	"strconv"
	"time"
)

// span writes a waiting time or an age for people: "40 s", "3 h 20 min",
// "31 h", "12 days". Times that lie ahead, as after a clock jumped back, are
// written as none.
func span(d time.Duration) string {
	d = max(d, 0)
	switch hours := int(d.Hours()); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case hours < 24:
		return fmt.Sprintf("%d h %d min", hours, int(d.Minutes())%60)
	case hours < 72:
		return fmt.Sprintf("%d h", hours)
	default:
		return fmt.Sprintf("%d days", hours/24)
	}
}

// short writes a measured time with three digits: "850 µs", "11.7 ms",
// "45 s".
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	}
	return digits(d.Seconds()) + " s"
}

// digits writes x with three digits, or all before the point where these are
// more.
func digits(x float64) string {
	if x >= 999.5 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
