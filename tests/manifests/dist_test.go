package manifests

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// The packed files install what kustomize's base installs, with the image of the version. k3s and RKE2 have another range of
// pods by default.
func TestPackedManifests(t *testing.T) {
	const version = "v1.2.3"
	folder := t.TempDir()
	runTool(t, "sh", "../../dist/kubernetes/manifests.sh", version, folder)
	clone := t.TempDir()
	dist, err := filepath.Abs("../../dist")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dist, filepath.Join(clone, "dist")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(clone, "overlay")
	if err := os.Mkdir(overlay, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, network := range map[string]string{"podlane.yaml": "{}", "podlane-k3s.yaml": `{"Network":"10.42.0.0/16"}`} {
		text := `resources: [../dist/kubernetes/base]
images: [{name: ghcr.io/podlane/podlane, newTag: ` + version + `}]
configMapGenerator:
  - name: podlane-network
    namespace: podlane
    behavior: merge
    literals: ['net-conf.json=` + network + `']
`
		if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		want := fromKustomize(t, overlay)
		stream, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			t.Fatal(err)
		}
		got := split(t, checksum.ReplaceAll(stream, nil))
		if names, packed := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(names, packed) {
			t.Errorf("%s: objects (-kustomize +packed):\n%s", file, gocmp.Diff(names, packed))
			continue
		}
		for name := range want {
			if diff := gocmp.Diff(parse(t, want[name]), parse(t, got[name])); diff != "" {
				t.Errorf("%s: %s (-kustomize +packed):\n%s", file, name, diff)
			}
		}
		if kind := firstKind(stream); kind != "Namespace" {
			t.Errorf("%s: the first object is a %s, want the namespace of the others", file, kind)
		}
	}
}
