package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// The files that the documentation shows can be installed unchanged.
func TestDocumentedFilesCanBeInstalled(t *testing.T) {
	var text []byte
	for _, page := range []string{"kubernetes.md", "kubernetes-etcd.md"} {
		data, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, data...)
	}
	dist, err := filepath.Abs("../../dist")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n# (\\S+)\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d files in the documentation, want 4", len(blocks))
	}
	var deployed []objects
	for _, b := range blocks {
		clone := t.TempDir()
		file := filepath.Join(clone, string(b[1]))
		if err := os.Symlink(dist, filepath.Join(clone, "dist")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b[2], 0o644); err != nil {
			t.Fatal(err)
		}
		var all objects
		if filepath.Base(file) == "values.yaml" {
			all = fromHelm(t, clone)
		} else {
			all = fromKustomize(t, filepath.Dir(file))
		}
		if all["DaemonSet podlane-etcd"] != nil {
			deployed = append(deployed, all)
		}
		pods(t, all)
	}
	if len(deployed) != 2 {
		t.Fatalf("%d of them have an etcd, want 2", len(deployed))
	}
	for _, name := range []string{"ConfigMap podlane", "ConfigMap podlane-etcd", "DaemonSet podlane-etcd"} {
		if diff := gocmp.Diff(parse(t, deployed[0][name]), parse(t, deployed[1][name])); diff != "" {
			t.Errorf("the two ways to deploy etcd differ in %s (-first +second):\n%s", name, diff)
		}
	}
}
