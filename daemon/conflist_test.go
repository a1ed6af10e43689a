package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/dist/cni"
)

func TestConflistNamesANodeFileInAnotherFolder(t *testing.T) {
	for _, c := range []struct {
		runDir string
		want   any
	}{
		{"/run/podlane", nil},
		{"/run/podlane/", nil},
		{"/run/lab/n1", "/run/lab/n1/subnet.env"},
	} {
		data, err := conflist(c.runDir, true)
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
			t.Errorf("%s: the last line has no line break", c.runDir)
		}
	}
}

func TestConflistWithoutPodlaneGate(t *testing.T) {
	for _, runDir := range []string{"/run/podlane", "/run/lab/n1"} {
		for gate, want := range map[bool]string{true: "podlane-cni portmap podlane-gate", false: "podlane-cni portmap"} {
			data, err := conflist(runDir, gate)
			if err != nil {
				t.Fatal(err)
			}
			var list struct{ Plugins []struct{ Type string } }
			if err := json.Unmarshal(data, &list); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range list.Plugins {
				names = append(names, p.Type)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s, podlane-gate installed: %v: the list has %s, want %s", runDir, gate, got, want)
			}
		}
	}
	if data, err := conflist("/run/podlane", true); err != nil || !bytes.Equal(data, cni.Conflist) {
		t.Errorf("with the default folder it is not the shipped list: %s, %v", data, err)
	}
}

func TestGateMissing(t *testing.T) {
	for name, c := range map[string]struct {
		files []string // of the folders a, b and c; one with ! at its end is not executable, one in another is a folder
		want  string   // DIR is the folder that holds a, b and c
	}{
		"same folder":            {[]string{"a/podlane-cni", "a/podlane-gate"}, ""},
		"same, another folder":   {[]string{"b/podlane-cni", "b/podlane-gate", "a/bridge"}, ""},
		"both folders":           {[]string{"a/podlane-cni", "a/podlane-gate", "b/podlane-cni", "b/podlane-gate"}, ""},
		"only podlaned upgraded": {[]string{"a/podlane-cni"}, "podlane-gate: DIR/a has podlane-cni only"},
		"one of two folders":     {[]string{"a/podlane-cni", "a/podlane-gate", "b/podlane-cni"}, "podlane-gate: DIR/b has podlane-cni only"},
		"podlane-gate elsewhere": {[]string{"a/podlane-cni", "b/podlane-gate"}, "podlane-gate: DIR/a has podlane-cni only"},
		"unknown folder":         {[]string{"d/podlane-cni", "d/podlane-gate"}, "podlane-cni is in none of DIR/a, DIR/b, DIR/c"},
		"not executable":         {[]string{"a/podlane-cni", "a/podlane-gate!"}, "podlane-gate: DIR/a has podlane-cni only"},
		"a folder":               {[]string{"a/podlane-cni", "a/podlane-gate/x"}, "podlane-gate: DIR/a has podlane-cni only"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range c.files {
				path, plain := strings.CutSuffix(filepath.Join(dir, file), "!")
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, map[bool]os.FileMode{true: 0o644, false: 0o755}[plain]); err != nil {
					t.Fatal(err)
				}
			}
			got := gateMissing([]string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")})
			if want := strings.ReplaceAll(c.want, "DIR", dir); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	dir := t.TempDir()
	if err := os.Symlink("/proc/self/exe", filepath.Join(dir, shimPlugin)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(dir, gatePlugin)); err != nil {
		t.Fatal(err)
	}
	if got := gateMissing([]string{dir}); !strings.Contains(got, "podlane-cni only") {
		t.Errorf("a dangling link: %q", got)
	}
}
