package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// podlaned reloads its configuration file under traffic. A good file is applied. A bad one causes a problem and nothing
// else.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "podlaned.yaml")
	configure := func(text string) { cluster.Check(t, os.WriteFile(file, []byte(text), 0o600)) }
	configure("resync: 20s\n")
	l := cluster.Start(t, lab.Options{Nodes: 2, NodeEnv: func(int) []string { return []string{"PODLANE_CONFIG=" + file} }}, 2)
	n := l.Nodes[0]
	cluster.AwaitPeers(t, l, soon, 1)
	traffic := cluster.StartFlood(t, (&bed{Lab: l}).pairs(l.Nodes...)...)
	kernel := cluster.WatchKernel(t, n.Place)
	reload := func() { cluster.Check(t, n.Signal(syscall.SIGHUP)) }

	for _, bad := range []struct{ file, want string }{
		{"iface: eth9\n", "reload: "},
		{"resync: 1ms\n", "resync 1ms is shorter than 1s"},
		{"resinc: 1s\n", "unknown key"},
		{"etcd-cafile: /none.pem\n", "without TLS"},
		{"iface: cni0\n", "reload: pod network 10.5.0.0/16 overlaps"}, // found only when it is applied
		{"etcd-prefix: /podlane/netwrok\n", "reload: /podlane/netwrok/config: there is no network configuration"},
	} {
		configure(bad.file)
		reload()
		cluster.Until(t, soon, "the log has the error", func() (bool, string) {
			return strings.Contains(n.LogText(), bad.want), n.LogText()
		})
		configure("resync: 20s\n")
		cluster.AwaitStatus(t, n, soon, "ready, with the problem", func(s cluster.Status) bool {
			return s.Ready && len(s.Problems) == 1 && strings.HasPrefix(s.Problems[0], "reload: ")
		})
		reload()
		cluster.AwaitStatus(t, n, soon, "no problem, one peer", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 && len(s.Peers) == 1 })
	}
	configure("resync: 7s\n")
	reload()
	cluster.Until(t, soon, "the new configuration is in use", func() (bool, string) {
		text, err := n.Run(cluster.Within(t), "podlaned", "status", "--json") // in the middle of a reload it may not answer
		if err != nil {
			return false, text
		}
		var s struct {
			Ready  bool
			Resync time.Duration
		}
		err = json.Unmarshal([]byte(text), &s)
		return err == nil && s.Ready && s.Resync == 7*second, text
	})
	kernel.ExpectNothing(t)
	traffic.ExpectNothingLost(t)
}
