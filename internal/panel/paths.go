package panel

import "slices"

// Paths returns the paths of all that can be looked at in the panel, pages and
// what they load, as patterns of http.ServeMux.
func Paths() ([]string, error) {
	p, err := newPanel(Options{TryIt: true, SampleArt: true})
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, r := range p.table {
		if r.method == "GET" {
			paths = append(paths, r.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
