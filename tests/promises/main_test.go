// Package promises tests what podlane promises, with the built binaries. Nothing fails in these clusters. An operator
// starts and restarts nodes, removes them, and changes the kernel by hand.
package promises

import (
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

const (
	second  = time.Second
	within5 = 5 * time.Second // for steps that have no promised time
)

func TestMain(m *testing.M) { sandbox.Main(m) }
