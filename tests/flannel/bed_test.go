package flannel

import (
	"slices"
	"syscall"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// bed is a cluster with nodes of both kinds. n1 and n2 are podlane's, n3 and n4 flannel's. Each has two pods.
type bed struct {
	*lab.Lab
	podlane []*lab.Node
	flannel []*flannelNode
	pods    map[string][]*pod // by the name of the node
}

// newBed makes the nodes and starts no daemon.
func newBed(t *testing.T, o lab.Options) *bed {
	t.Helper()
	o.Nodes = 4
	l := cluster.Build(t, o)
	b := &bed{Lab: l, podlane: l.Nodes[:2], pods: map[string][]*pod{}}
	for _, n := range l.Nodes[2:] {
		f := &flannelNode{Node: n}
		b.flannel = append(b.flannel, f)
		t.Cleanup(func() {
			if t.Failed() && f.daemon != nil {
				t.Logf("last lines of flanneld's log on %s:\n%s", n.Name, f.daemon.tail())
			}
			f.daemon.stop(t, syscall.SIGKILL)
			for _, name := range podNames(n) {
				_ = sandbox.Namespace{Name: name}.Delete() // the test or the lab may have deleted it
			}
		})
	}
	return b
}

// podNames returns the names of a node's pods.
func podNames(n *lab.Node) []string { return []string{n.Name + "a", n.Name + "b"} }

// addPods attaches two pods to each node.
func (b *bed) addPods(t *testing.T) {
	t.Helper()
	for _, n := range b.podlane {
		b.addPodlanePods(t, n)
	}
	for _, n := range b.flannel {
		b.addFlannelPods(t, n)
	}
	cluster.AwaitBridges(t, b.podlane...)
}

func (b *bed) addPodlanePods(t *testing.T, n *lab.Node) {
	t.Helper()
	for _, name := range podNames(n) {
		b.pods[n.Name] = append(b.pods[n.Name], addPodlanePod(t, b.Lab, n, name))
	}
}

func (b *bed) addFlannelPods(t *testing.T, n *flannelNode) {
	t.Helper()
	for _, name := range podNames(n.Node) {
		b.pods[n.Name] = append(b.pods[n.Name], n.addPod(t, name))
	}
}

// deletePods deletes all pods of a node.
func (b *bed) deletePods(t *testing.T, n *lab.Node) {
	t.Helper()
	for _, p := range b.pods[n.Name] {
		p.delete(t)
	}
	delete(b.pods, n.Name)
}

// awaitPeers waits until every running daemon has this number of peers.
func (b *bed) awaitPeers(t *testing.T, peers int) {
	t.Helper()
	cluster.AwaitPeers(t, b.Lab, soon, peers)
	for _, n := range b.flannel {
		if n.daemon.running() {
			n.awaitPeers(t, peers)
		}
	}
}

// all returns all pods.
func (b *bed) all() (pods []*pod) {
	for _, n := range b.Nodes {
		pods = append(pods, b.pods[n.Name]...)
	}
	return pods
}

// firsts returns the first pod of each of these nodes, or of all nodes.
func (b *bed) firsts(names ...string) (pods []*pod) {
	for _, n := range b.Nodes {
		if len(b.pods[n.Name]) > 0 && (len(names) == 0 || slices.Contains(names, n.Name)) {
			pods = append(pods, b.pods[n.Name][0])
		}
	}
	return pods
}

// step is a part of a test.
type step struct {
	name string
	run  func(*testing.T)
}

// runSteps runs steps until one fails. Later steps would only report the same.
func runSteps(t *testing.T, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if !t.Run(s.name, s.run) {
			return
		}
	}
}
