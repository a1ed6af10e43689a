// Package machines runs podlane as on bare metal. Machines boot Debian with systemd, and the package is installed,
// upgraded and removed. What happens to one machine costs the pods of the others nothing.
package machines

import (
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
