package faults

import (
	"fmt"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The extra peer exists only in etcd. It joins and leaves so that there is something new to program and to save.
const (
	extraPeerAddress = "198.18.7.7"
	extraPeerKey     = lab.DefaultPrefix + "/subnets/10.5.250.0-24&fd00:5:0:fa::-64"
	extraPeerLease   = `{"PublicIP":"` + extraPeerAddress + `","PublicIPv6":"fd98:18::707","BackendType":"vxlan",` +
		`"BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:07:07"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:07:08"}}`
)

// addExtraPeer adds the peer to etcd and waits until all nodes have it.
func (b *bed) addExtraPeer(t *testing.T) {
	t.Helper()
	cluster.Check(t, b.Etcd.Put(cluster.Within(t), extraPeerKey, extraPeerLease))
	for _, n := range b.Nodes {
		cluster.AwaitStatus(t, n, soon, fmt.Sprint("has the peer ", extraPeerAddress), func(s cluster.Status) bool { return len(s.Peers) == len(b.Nodes) })
	}
}

// removeExtraPeer deletes the peer from etcd, if it exists.
func (b *bed) removeExtraPeer(t *testing.T) {
	t.Helper()
	cluster.Check(t, b.Etcd.Delete(cluster.Within(t), extraPeerKey))
}
