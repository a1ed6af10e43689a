package manifests

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// What docs/kubernetes.md tells a reader to write into a file can be installed as it stands.
func TestFilesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	dist, err := filepath.Abs("../../dist")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n# (\\S+)\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d files in the documentation", len(blocks))
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
		t.Fatalf("%d of them have an etcd", len(deployed))
	}
	for _, name := range []string{"ConfigMap podlane", "ConfigMap podlane-etcd", "DaemonSet podlane-etcd"} {
		a, b := written(t, deployed[0], name), written(t, deployed[1], name)
		if a != b {
			t.Errorf("the two ways to deploy etcd differ in %s:\n%s\n%s", name, a, b)
		}
	}
}

// written is an object in one way of writing it.
func written(t *testing.T, all objects, name string) string {
	t.Helper()
	return string(text(t, plain(t, all[name])))
}
