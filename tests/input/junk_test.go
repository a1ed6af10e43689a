package input

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/lab"
)

// putAll writes many keys, a hundred in each transaction.
func putAll(t *testing.T, l *lab.Lab, pairs map[string]string) {
	t.Helper()
	var ops []clientv3.Op
	for key, value := range pairs {
		ops = append(ops, clientv3.OpPut(key, value))
	}
	for chunk := range slices.Chunk(ops, 100) {
		if _, err := l.Etcd.Client.Txn(t.Context()).Then(chunk...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func deleteAll(t *testing.T, l *lab.Lab, pairs map[string]string) {
	t.Helper()
	var ops []clientv3.Op
	for key := range pairs {
		ops = append(ops, clientv3.OpDelete(key))
	}
	for chunk := range slices.Chunk(ops, 100) {
		if _, err := l.Etcd.Client.Txn(t.Context()).Then(chunk...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// Another client fills etcd with junk. No peer is lost. The status and the log stay small.
func TestFloodOfJunk(t *testing.T) {
	l, n1, n2 := twoNodes(t)
	n := l.Nodes[0]
	logged := len(n.LogText())
	stop := startPing(t, l.Pods()[0], l.Pods()[1])
	junk := map[string]string{}
	for i := range 1000 {
		junk[fmt.Sprintf("%sjunk%04d-%s", leases, i, strings.Repeat("x", 300))] = "{}"
		junk[fmt.Sprintf("%s10.5.%d.%d-30", leases, n1.subnet.Addr().As4()[2], i%64*4)] = lease(etcdPeerIP, etcdPeerMAC) // 64 overlap ours
		junk[fmt.Sprintf("%s10.6.%d.%d-28", leases, i/16, i%16*16)] = lease(etcdPeerIP, etcdPeerMAC)                     // outside
	}
	putAll(t, l, junk)
	large := leases + unusedKey(n1, n2)
	if err := l.Etcd.Put(t.Context(), large, strings.Repeat("y", 1<<20)); err != nil {
		t.Fatal(err)
	}
	junk[large] = ""
	count := len(junk)
	s := await(t, n, fmt.Sprintf("%d skips", count), func(s status) bool { return s.SkipCount == count })
	if !s.Ready {
		t.Errorf("n1 is not ready: %q", s.Problems)
	}
	if !hasPeer(s, n2) {
		t.Errorf("peers %v, want n2", s.Peers)
	}
	if len(s.Skipped) != 100 {
		t.Errorf("the status names %d skipped leases, want 100", len(s.Skipped))
	}
	out, err := n.Run(t.Context(), "podlaned", "status", "--json")
	if err != nil || len(out) > 100<<10 {
		t.Errorf("the status has %d bytes, error %v; want at most 100 KiB", len(out), err)
	}
	if out, err = n.Run(t.Context(), "podlaned", "status"); err != nil || !containsParts(out, fmt.Sprintf("skipped ... %d more", count-100)) {
		t.Errorf("status as text: error %v, want the number of further skips:\n%s", err, out)
	}
	if grown := len(n.LogText()) - logged; grown > 100<<10 {
		t.Errorf("the log has grown by %d bytes, want at most 100 KiB", grown)
	}
	for _, peer := range l.Nodes { // a start reads all of it at once
		if err := peer.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s = await(t, n, fmt.Sprintf("%d skips after a restart", count), func(s status) bool { return s.SkipCount == count && s.Ready })
	if !hasPeer(s, n2) {
		t.Errorf("peers after a restart: %v, want n2", s.Peers)
	}
	deleteAll(t, l, junk)
	s = await(t, n, "no skip once the junk is gone", func(s status) bool { return s.SkipCount == 0 && len(s.Skipped) == 0 && hasPeer(s, n2) && s.Ready })
	stop()
}
