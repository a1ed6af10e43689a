package input

import (
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A misspelt variable is a problem. podlaned starts: in Kubernetes, other objects add variables to its pod.
func TestUnknownVariableIsAProblem(t *testing.T) {
	l := cluster.Start(t, lab.Options{Nodes: 1, NodeEnv: func(int) []string {
		return []string{"PODLANE_INTERFACE=eth1", "PODLANE_GRACE=1m", "PODLANE_PORT=tcp://10.96.0.1:80", "PODLANE_ETCD_SERVICE_HOST=10.96.0.2"}
	}}, 0)
	n := l.Nodes[0]
	const want = `environment: the variable "PODLANE_INTERFACE" is not a setting, and has no effect; do you mean PODLANE_IFACE?`
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	if !s.Ready || len(s.Problems) != 1 || s.Problems[0] != want {
		t.Errorf("ready %v, problems %q; want it ready, with %q", s.Ready, s.Problems, want)
	}
	if o := run(t, n, nil, "status"); o.code != exitError || !strings.Contains(o.out, want) {
		t.Errorf("status: exit code %d, output %s", o.code, o.out)
	}
	if got := strings.Count(n.LogText(), "PODLANE_INTERFACE"); got != 1 {
		t.Errorf("the log names it %d times, want once:\n%s", got, n.LogText())
	}
}
