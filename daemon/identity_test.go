package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMachineID(t *testing.T) {
	for _, c := range []struct{ text, id, want string }{
		{"3d1219c7c4c5404aaa1f6d2a48adfda4\n", "3d1219c7c4c5404aaa1f6d2a48adfda4", ""},
		{"3D1219C7C4C5404AAA1F6D2A48ADFDA4", "3D1219C7C4C5404AAA1F6D2A48ADFDA4", ""},
		{"", "", "/etc/machine-id is empty"},
		{" \n", "", "/etc/machine-id is empty"},
		{"uninitialized\n", "", `/etc/machine-id holds "uninitialized", not 32 hexadecimal digits`},
		{"3d1219c7", "", "not 32 hexadecimal digits"},
		{"3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", "", "not 32 hexadecimal digits"},
		{strings.Repeat("x", 10_000), "", "not 32 hexadecimal digits"},
	} {
		id, err := parseMachineID([]byte(c.text))
		if id != c.id {
			t.Errorf("%.40q: got id %q, want %q", c.text, id, c.id)
		}
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%.40q: got error %.200v, want %q", c.text, err, c.want)
		} else if len(got) > 200 {
			t.Errorf("%.40q: the error has %d bytes, want at most 200", c.text, len(got))
		}
	}
}

func TestGivenIdentityIsKept(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ have, want config }{
		"id and name":     {config{nodeID: "a", nodeName: "n1"}, config{nodeID: "a", nodeName: "n1"}},
		"id, no name yet": {config{nodeID: "a"}, config{nodeID: "a", nodeName: host}},
	} {
		if err := c.have.identity(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.have.nodeID != c.want.nodeID || c.have.nodeName != c.want.nodeName {
			t.Errorf("%s: got id %q and name %q, want %q and %q", name, c.have.nodeID, c.have.nodeName, c.want.nodeID, c.want.nodeName)
		}
	}
}

func TestIdentityThatPeersRefuse(t *testing.T) {
	c := config{nodeID: "a\n", nodeName: "n1"}
	if err := c.identity(); err == nil || !strings.Contains(err.Error(), "node id") {
		t.Errorf("got error %v, want one about the node id", err)
	}
}
