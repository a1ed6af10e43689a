package kubestore

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// Programs that are not this node's podlane-kube connect to the channel.
var channelFaults = []fault{
	{"other programs connect to the channel", func(t *testing.T, b *bed) {
		n, traffic, before := b.Nodes[0], b.flood(t), processes(b.Nodes)
		for want, hello := range map[string]string{
			"not podlane's channel protocol": "GET /status HTTP/1.1\r\nHost: podlaned\r\n\r\n",
			"uses version 99":                frame("hello", `{"version":99,"program":"another","node":"n1"}`),
			`is for the node "n7"`:           frame("hello", `{"version":1,"program":"another","node":"n7"}`),
		} {
			conn := dialChannel(t, n)
			_, err := conn.Write([]byte(hello))
			cluster.Check(t, err)
			expectWarning(t, n, "refused", "process", want)
			conn.Close()
		}
		b.expectChanges(t)
		b.expectSameProcesses(t, before)
		traffic.ExpectNothingLost(t)
	}},
	{"a second feeder sends half of a set and ends", func(t *testing.T, b *bed) {
		n, traffic := b.Nodes[0], b.flood(t)
		set := frame("leases", `{"revision":999999,"own":{"exists":true,"podCIDRs":["10.5.1.0/24","fd00:5:0:1::/64"]},"config":{"Network":"10.5.0.0/16"}}`)
		for _, cut := range []int{1, len(set) / 2, len(set) - 1} {
			conn := dialChannel(t, n)
			_, err := conn.Write([]byte(frame("hello", `{"version":1,"program":"another","node":"n1"}`) + set[:cut]))
			cluster.Check(t, err)
			expectWarning(t, n, "another (process", "connected to the channel and replaced")
			conn.Close()
			cluster.AwaitStatus(t, n, soon, "podlane-kube feeds again", func(s cluster.Status) bool { return s.Ready && len(s.Peers) == 2 })
		}
		b.expectChanges(t)
		traffic.ExpectNothingLost(t)
	}},
	{"the configuration becomes invalid", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		cluster.Check(t, b.SetNetworkFile("{"))
		expectProblems(t, b.Nodes, soon, "net-conf.json", "the last valid configuration stays in use")
		b.expectAttach(t, b.Nodes[0])
		b.expectChanges(t)
		cluster.Check(t, b.SetNetworkFile(cluster.DualStack))
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, soon, "no problem", func(s cluster.Status) bool { return len(s.Problems) == 0 })
		}
		traffic.ExpectNothingLost(t)
	}},
	{"the configuration changes", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		cluster.Check(t, b.SetNetworkFile(strings.Replace(cluster.DualStack, "vxlan\"", "vxlan\", \"VNI\": 7", 1)))
		for _, n := range b.Nodes {
			expectWarning(t, n, "ConfigMap podlane-network")
		}
		cluster.Check(t, b.SetNetworkFile(cluster.DualStack))
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, soon, "no note about it", func(s cluster.Status) bool { return !strings.Contains(strings.Join(s.Notes, " "), "has changed") })
		}
		traffic.ExpectNothingLost(t)
	}},
}

func TestChannel(t *testing.T) { runFaults(t, channelFaults) }

// frame returns a message of the channel.
func frame(kind, body string) string {
	return fmt.Sprintf(`{"kind":%q,"size":%d}`+"\n%s", kind, len(body), body)
}

func dialChannel(t *testing.T, n *lab.Node) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", channelSocket(n))
	cluster.Check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// expectWarning waits until the notes and problems of a node's status contain all words.
func expectWarning(t *testing.T, n *lab.Node, words ...string) {
	t.Helper()
	cluster.AwaitStatus(t, n, soon, fmt.Sprintf("a note or problem with %q", words), func(s cluster.Status) bool {
		return containsAll(strings.Join(append(s.Notes, s.Problems...), "\n"), words)
	})
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	t.Logf("%s: %s", n.Name, strings.Join(append(s.Notes, s.Problems...), "; "))
}
