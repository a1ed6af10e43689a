package kernel

import (
	"errors"
	"fmt"
	"testing"
)

func TestRetryRead(t *testing.T) {
	interrupted, other := errors.New("interrupted"), errors.New("other")
	for name, c := range map[string]struct {
		errs  []error // of the first reads; the last one repeats
		reads int
		want  error
	}{
		"undisturbed":             {[]error{nil}, 1, nil},
		"interrupted twice":       {[]error{interrupted, fmt.Errorf("read: %w", interrupted), nil}, 3, nil},
		"another error":           {[]error{other}, 1, other},
		"interrupted, then error": {[]error{interrupted, other}, 2, other},
		"always interrupted":      {[]error{interrupted}, maxReads, interrupted},
	} {
		reads := 0
		err := RetryRead(interrupted, func() error {
			reads++
			return c.errs[min(reads, len(c.errs))-1]
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
		if reads != c.reads {
			t.Errorf("%s: got %d reads, want %d", name, reads, c.reads)
		}
	}
}
