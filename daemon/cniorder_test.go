package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnotherCNIConfigurationComesFirst(t *testing.T) {
	for _, c := range []struct {
		others []string
		first  string // empty: ours
	}{
		{nil, ""},
		{[]string{"20-other.conflist", "10-podlane.conflist.bak", "05-other.conflist.disabled"}, ""},
		{[]string{"05-cilium.conflist", "09-x.conf"}, "05-cilium.conflist"},
		{[]string{"10-flannel.conflist"}, "10-flannel.conflist"},
		{[]string{"09-x.json", "87-podman-bridge.conflist"}, "09-x.json"},
	} {
		dir := t.TempDir()
		for _, name := range append(c.others, "10-podlane.conflist") {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := checkCNIOrder(filepath.Join(dir, "10-podlane.conflist"))
		if c.first == "" && err != nil {
			t.Errorf("%q: %v, want ours to be the first", c.others, err)
		}
		want := c.first + " comes before 10-podlane.conflist in " + dir + ","
		if c.first != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: got error %v, want one that begins with %q", c.others, err, want)
		}
	}
}
