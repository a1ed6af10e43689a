package settings

import (
	"slices"
	"strings"
)

// nearest returns the known name that an unknown one probably means, or nothing. It is the only one that begins with the unknown
// name. Otherwise it is the one with the fewest edits. Half of the letters may differ.
func nearest(known []string, name string) (best string) {
	name = name[:min(len(name), 100)]
	longer := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, name) })
	if name != "" && len(longer) == 1 {
		return longer[0]
	}
	fewest := len(name)/2 + 1
	for _, k := range known {
		if n := edits(k, name); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits returns how many letters must be inserted, deleted or replaced to make one text of another (Levenshtein's distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1) // the distance of the beginning of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, replaced)
		}
	}
	return row[len(b)]
}
