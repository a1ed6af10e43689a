package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	gocmp "github.com/google/go-cmp/cmp"
)

func TestParseReservation(t *testing.T) {
	for _, c := range []struct{ text, id, ifName string }{
		{"c1\r\neth0", "c1", "eth0"},
		{" c1\r\neth0 \n", "c1", "eth0"},
		{"c1", "c1", ""},
		{"c1\r\n", "c1", ""},
		{"c1\neth0", "c1\neth0", ""}, // host-local does not split it either
	} {
		want := types.GCAttachment{ContainerID: c.id, IfName: c.ifName}
		if got, ok := parseReservation([]byte(c.text)); got != want || !ok {
			t.Errorf("%q: %+v, %v; want %+v", c.text, got, ok, want)
		}
	}
	for _, text := range []string{"", " \r\n "} {
		if a, ok := parseReservation([]byte(text)); ok {
			t.Errorf("%q: %+v; want none", text, a)
		}
	}
}

func TestReadReservationsOfAFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"10.5.34.2": "c1\r\neth0", "fd00:5:0:22::2": "c1\r\neth0", "10.5.34.9": "", "lock": "", "last_reserved_ip.0": "10.5.34.2",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readReservations(dir)
	one := types.GCAttachment{ContainerID: "c1", IfName: "eth0"}
	if d := gocmp.Diff([]types.GCAttachment{one, one}, got); d != "" {
		t.Errorf("attachments (-want +got):\n%s", d)
	}
	if err != nil {
		t.Errorf("a reservation that is being written: %v", err)
	}
	if got, err := readReservations(filepath.Join(dir, "none")); got != nil || err != nil {
		t.Errorf("no folder: %v, %v", got, err)
	}
}

func TestStaleAttachments(t *testing.T) {
	at := func(id, name string) types.GCAttachment { return types.GCAttachment{ContainerID: id, IfName: name} }
	for name, c := range map[string]struct{ all, valid, want []types.GCAttachment }{
		"dual-stack is one":        {[]types.GCAttachment{at("c1", "eth0"), at("c1", "eth0")}, nil, []types.GCAttachment{at("c1", "eth0")}},
		"another interface":        {[]types.GCAttachment{at("c1", "eth0")}, []types.GCAttachment{at("c1", "eth1")}, []types.GCAttachment{at("c1", "eth0")}},
		"valid":                    {[]types.GCAttachment{at("c1", "eth0")}, []types.GCAttachment{at("c1", "eth0")}, nil},
		"old and valid":            {[]types.GCAttachment{at("c1", "")}, []types.GCAttachment{at("c1", "eth0")}, nil},
		"old and stale":            {[]types.GCAttachment{at("c1", "")}, []types.GCAttachment{at("c2", "eth0")}, []types.GCAttachment{at("c1", "")}},
		"valid without an address": {nil, []types.GCAttachment{at("c1", "eth0")}, nil},
	} {
		if d := gocmp.Diff(c.want, staleAttachments(c.all, c.valid)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestEnvironmentOfDel(t *testing.T) {
	got := delEnvironment([]string{"CNI_COMMAND=GC", "CNI_PATH=/p", "CNI_ARGS=IP=1.2.3.4", "CNI_NETNS=/x", "HOME=/"}, types.GCAttachment{ContainerID: "c1"})
	want := []string{"CNI_PATH=/p", "HOME=/", "CNI_COMMAND=DEL", "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_NETNS="}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
}

func FuzzParseReservation(f *testing.F) {
	for _, seed := range []string{"", "c1", "c1\r\neth0", "\r\neth0", "c1\r\n\r\neth0", " \t", "c1\neth0", "\x00\r\n\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, ok := parseReservation(data)
		if ok != (a.ContainerID != "") {
			t.Errorf("%q: %+v, %v", data, a, ok)
		}
		if !ok {
			return
		}
		// host-local compares the attachment with the file's text, so the attachment must give that text again.
		key := a.ContainerID + "\r\n" + a.IfName
		if a.IfName == "" {
			key = strings.TrimSuffix(key, "\r\n")
		}
		if key != strings.TrimSpace(string(data)) {
			t.Errorf("%q became %q", data, key)
		}
	})
}
