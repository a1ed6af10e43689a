package main

import (
	"encoding/json"
	"testing"

	"github.com/podlane/podlane/dist/cni"
)

func TestConflistNamesTheNodeFileOnlyWhereItIsElsewhere(t *testing.T) {
	for _, c := range []struct {
		runDir string
		want   any
	}{
		{"/run/podlane", nil},
		{"/run/podlane/", nil},
		{"/run/lab/n1", "/run/lab/n1/subnet.env"},
	} {
		data, err := conflist(c.runDir)
		if err != nil {
			t.Fatal(err)
		}
		var got, shipped map[string]any
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(cni.Conflist, &shipped); err != nil {
			t.Fatal(err)
		}
		plugin := got["plugins"].([]any)[0].(map[string]any)
		if plugin["type"] != "podlane-cni" || plugin["nodeFile"] != c.want {
			t.Errorf("%s: %v, want the node file %v", c.runDir, plugin, c.want)
		}
		for key := range shipped {
			if got[key] == nil {
				t.Errorf("%s: the shipped key %q is missing in %s", c.runDir, key, data)
			}
		}
		if data[len(data)-1] != '\n' {
			t.Errorf("%s: the file's last line has no end", c.runDir)
		}
	}
}
