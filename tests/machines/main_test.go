// Package machines runs podlane as it is installed on bare metal: machines boot Debian with systemd, the package is
// installed, upgraded and removed, and what happens to one machine costs the pods of the others nothing.
package machines

import (
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }
