package faults

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// A guest is a peer that only stands in etcd. It comes and goes so that there is something new to program and to save.
const (
	guestAddress = "198.18.7.7"
	guestKey     = lab.DefaultPrefix + "/subnets/10.5.250.0-24&fd00:5:0:fa::-64"
	guestLease   = `{"PublicIP":"` + guestAddress + `","PublicIPv6":"fd98:18::707","BackendType":"vxlan",` +
		`"BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:07:07"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:07:08"}}`
)

// addGuest waits until all nodes have the guest among their peers.
func (b *bed) addGuest(t *testing.T) {
	t.Helper()
	cluster.Check(t, b.Etcd.Put(cluster.Within(t), guestKey, guestLease))
	for _, n := range b.Nodes {
		cluster.AwaitStatus(t, n, soon, fmt.Sprint("has the guest ", guestAddress), func(s cluster.Status) bool { return len(s.Peers) == len(b.Nodes) })
	}
}

// removeGuest deletes the guest, where it is there.
func (b *bed) removeGuest(t *testing.T) {
	t.Helper()
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), guestKey))
}
