// Package manifests tests that both ways to install podlane in Kubernetes render the same objects, and that the API
// accepts them.
package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	chart     = "../../dist/kubernetes/chart"
	kustomize = "../../bin/kustomize"
	helm      = "../../bin/helm"
)

// objects are manifests by "Kind name".
type objects map[string][]byte

// runTool returns what a tool prints. An error ends the test.
func runTool(t *testing.T, tool string, args ...string) []byte {
	t.Helper()
	out, err := tryTool(t, tool, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryTool(t *testing.T, tool string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool, args...)
	home := t.TempDir() // helm writes to it
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", tool, strings.Join(args, " "), err, &stderr)
	}
	return out, err
}

// split splits a stream of YAML into its documents.
func split(t *testing.T, stream []byte) objects {
	t.Helper()
	all := objects{}
	for doc := range strings.SplitSeq("\n"+string(stream), "\n---") {
		var head struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("%v in:\n%s", err, doc)
		}
		name := head.Kind + " " + head.Metadata.Name
		switch {
		case head.Kind == "":
			continue
		case all[name] != nil:
			t.Errorf("%s exists twice", name)
		}
		all[name] = []byte(doc)
	}
	return all
}

// installations returns the folders of testdata. Each is one installation, for kustomize and for Helm.
func installations(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("%d installations, error %v; want at least 4", len(dirs), err)
	}
	return dirs
}

func fromKustomize(t *testing.T, dir string) objects {
	t.Helper()
	return split(t, runTool(t, kustomize, "build", dir))
}

func fromHelm(t *testing.T, dir string) objects {
	t.Helper()
	return split(t, runTool(t, helm, "template", "podlane", chart, "--namespace=podlane", "--values="+filepath.Join(dir, "values.yaml")))
}

func TestHelmAndKustomizeRenderTheSameObjects(t *testing.T) {
	for _, dir := range installations(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, got := fromKustomize(t, dir), fromHelm(t, dir)
			delete(want, "Namespace podlane") // the user of a chart creates its namespace before
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if got[name] == nil {
					t.Errorf("the chart has no %s", name)
					continue
				}
				if diff := gocmp.Diff(parse(t, want[name]), parse(t, got[name])); diff != "" {
					t.Errorf("%s (-kustomize +Helm):\n%s", name, diff)
				}
			}
			for name := range got {
				if want[name] == nil {
					t.Errorf("only the chart has %s", name)
				}
			}
			if len(want) < 6 {
				t.Errorf("%d objects, want at least 6", len(want))
			}
		})
	}
}

func parse(t *testing.T, doc []byte) (v any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(doc, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestChartPassesLint(t *testing.T) {
	for _, dir := range installations(t) {
		runTool(t, helm, "lint", "--strict", "--values="+filepath.Join(dir, "values.yaml"), chart)
	}
}

// The schema refuses wrong values before anything is installed.
func TestChartRefusesBadValues(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"etcd.endpoint=http://198.18.1.1:2379", "'endpoint' not allowed"},
		{"etcd.endpoints[0]=198.18.1.1:2379", "does not match pattern"},
		{"etcd.deploy=true", "minItems: got 0, want 1"},
		{"etcd.members[0].node=cp1", "missing property 'address'"},
		{"image.pullPolicy=Sometimes", "/image/pullPolicy"},
		{"settings.PODLANE_IFACE=eth1", "invalid propertyName 'PODLANE_IFACE'"},
		{"settings.http=127.0.0.1:9500", "does not match pattern"}, // the probes would fail, and so restart podlaned
		{"settings.http=", "does not match pattern"},
		{"etcd.endpoints=null", "missing property 'endpoints'"},
		{"network=null", "missing property 'network'"},
		{"cni.bin=opt/cni/bin", "does not match pattern"},
		{"realease=true", "'realease' not allowed"},
	} {
		if _, err := tryTool(t, helm, "template", "podlane", chart, "--set="+c.set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--set %s: want %q, got: %v", c.set, c.want, err)
		}
	}
}
