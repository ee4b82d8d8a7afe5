package config

import "math"

// Nearest returns the candidate that differs from name by the fewest inserted,
// removed or replaced characters, and how many; "" where there is none.
func Nearest(name string, candidates []string) (string, int) {
	best, distance := "", math.MaxInt
	for _, c := range candidates {
		if d := edits([]rune(name), []rune(c)); d < distance {
			best, distance = c, d
		}
	}
	return best, distance
}

// edits returns the Levenshtein distance of a and b.
func edits(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := 1
			if x == y {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
