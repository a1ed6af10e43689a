package status

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Faults holds the faults of a node, without its peers: podlaned's answer to GET /problems.
type Faults struct {
	Checks   []string `json:"checks"`   // the checks of /readyz that do not hold, each "name: reason"
	Problems []string `json:"problems"` // each "kind: text"
}

// maxFaults bounds how many bytes of faults are read.
const maxFaults = 1 << 20

// Faults returns the failed checks and the problems of a status. Its lists are not nil.
func (s Status) Faults() Faults {
	f := Faults{Checks: []string{}, Problems: append([]string{}, s.Problems...)}
	for _, c := range s.Checks {
		if !c.OK {
			f.Checks = append(f.Checks, c.Name+": "+c.Detail)
		}
	}
	return f
}

// AskProblems returns the faults of this node, from podlaned's local socket. It waits at most 5 s and reads at most 1 MiB.
func AskProblems(ctx context.Context, socket string) (f Faults, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := get(ctx, socket, "/problems")
	if err != nil {
		return f, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return f, fmt.Errorf("it answers %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxFaults)).Decode(&f); err != nil {
		return Faults{}, fmt.Errorf("read its answer: %w", err)
	}
	return f, nil
}
