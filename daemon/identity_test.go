package main

import (
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
		if id != c.id || (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || len(err.Error()) > 200) {
			t.Errorf("%.40q: %q, %v; want %q, %q", c.text, id, err, c.id, c.want)
		}
	}
}

func TestGivenIdentityIsKept(t *testing.T) {
	c := config{nodeID: "a", nodeName: "n1"}
	if err := c.identity(); err != nil || c.nodeID != "a" || c.nodeName != "n1" {
		t.Errorf("%+v, %v", c, err)
	}
	c = config{nodeID: "a"}
	if err := c.identity(); err != nil || c.nodeName == "" {
		t.Errorf("the name of the machine: %q, %v", c.nodeName, err)
	}
	c = config{nodeID: "a\n", nodeName: "n1"}
	if err := c.identity(); err == nil || !strings.Contains(err.Error(), "node id") {
		t.Errorf("an id that no peer would read: %v", err)
	}
}
