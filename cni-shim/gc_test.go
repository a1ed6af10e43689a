package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestGCFreesAddressesOfStaleAttachments(t *testing.T) {
	n := newNode(t, "1.1.0", dualNode, nil)
	a, b := sandbox.Test(t, "pod-a"), sandbox.Test(t, "pod-b")
	n.add(n.pod(a))
	n.add(n.pod(b))
	second := n.pod(b)
	second.IfName = "eth1"
	n.add(second)
	old := filepath.Join(n.dataDir, n.list.Name, "10.5.34.77")
	if err := os.WriteFile(old, []byte("pod-c"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.restart() // otherwise libcni sends the DELs itself
	if err := n.gc(n.pod(a), n.pod(b)); err != nil {
		t.Error(err)
	}
	n.wantReserved("10.5.34.2", "10.5.34.3", "fd00:5:0:22::2", "fd00:5:0:22::3")
	if err := os.Remove(n.nodeFile); err != nil {
		t.Fatal(err)
	}
	if err := n.gc(); err != nil {
		t.Error("without a node file:", err)
	}
	n.wantReserved()
}

func TestGCNamesAddressesThatItCannotFree(t *testing.T) {
	n := newNode(t, "1.1.0", ipv4Node, nil)
	n.add(n.pod(sandbox.Test(t, "pod-a")))
	n.writeReservations(map[string]string{"10.5.34.8": "no container\r\neth0"})
	n.restart()
	err := n.gc()
	text := "free the address of container no container, interface eth0: invalid characters in containerID; no container"
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v; want %q", err, text)
	}
	n.wantReserved("10.5.34.8") // the address of pod-a was freed
}

func FuzzValidAttachments(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}]}`, `{"cni.dev/attachments":[]}`,
		`{"cni.dev/valid-attachments":null}`, `{"cni.dev/valid-attachments":{}}`, `{"cni.dev/valid-attachments":[null,{"containerID":7}]}`,
	} {
		f.Add([]byte(seed), []byte("c1\r\neth0"))
	}
	f.Fuzz(func(t *testing.T, data, file []byte) {
		c, err := parse(data)
		if err != nil {
			return
		}
		valid, err := c.validAttachments()
		a, ok := parseReservation(file)
		if err != nil || !ok {
			return
		}
		stale := staleAttachments([]types.GCAttachment{a, a}, valid)
		if still := staleAttachments([]types.GCAttachment{a}, append(valid, a)); len(stale) > 1 || len(still) > 0 {
			t.Errorf("of %+v are stale %+v, and beside itself %+v", a, stale, still)
		}
	})
}
