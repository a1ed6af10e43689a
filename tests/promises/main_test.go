// Package promises tests what podlane promises, with the built binaries, on clusters that nothing goes wrong in but what
// an operator does: starts, restarts, leaves, and changes the kernel by hand.
package promises

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

const (
	second  = time.Second
	within5 = 5 * time.Second // for what is not promised within a time
)

func TestMain(m *testing.M) { sandbox.Main(m) }
