package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestWarningsAreLoggedOnce(t *testing.T) {
	for name, c := range map[string]struct{ texts, want int }{
		"one":      {1, 1},
		"several":  {3, 3},
		"limit":    {maxWarnings, maxWarnings},
		"too many": {3 * maxWarnings, maxWarnings},
	} {
		var out strings.Builder
		log := logrus.New()
		log.SetOutput(&out)
		w := newWarnings(log)
		for range 2 {
			for i := range c.texts {
				w.logOnce(fmt.Sprint("warning ", i))
			}
		}
		if got := strings.Count(out.String(), "\n"); got != c.want {
			t.Errorf("%s: %d lines, want %d", name, got, c.want)
		}
	}
}
