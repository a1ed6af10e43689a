package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tree makes a file tree like the image's. Its files are of the given age.
func tree(t *testing.T, age time.Duration) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{"usr/bin/podlaned": 0o755, "opt/podlane/cni/bridge": 0o700, "etc/passwd": 0o600} {
		file := filepath.Join(dir, path)
		err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(path), mode))
		if at := time.Now().Add(-age); err == nil {
			err = os.Chtimes(file, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func packed(t *testing.T, amd64, arm64 string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image.tar")
	args = append(args, "-version", "v1.0.0", "-revision", "0123", "-time", "1700000000", "-out", out, "amd64="+amd64, "arm64="+arm64)
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSameTreesGiveTheSameBytes(t *testing.T) {
	first := packed(t, tree(t, 0), tree(t, 0))
	if !bytes.Equal(first, packed(t, tree(t, time.Hour), tree(t, 2*time.Hour))) {
		t.Error("the same trees, made at another time, give another image")
	}
	other := tree(t, 0)
	if err := os.WriteFile(filepath.Join(other, "etc/passwd"), []byte("etc/passwx"), 0o600); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, packed(t, tree(t, 0), other)) {
		t.Error("another tree gives the same image")
	}
}

func untar(t *testing.T, data []byte) (files map[string][]byte, headers map[string]*tar.Header) {
	t.Helper()
	files, headers = map[string][]byte{}, map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		headers[h.Name] = h
	}
}

// follow returns the blob of a descriptor, and checks its digest and size.
func follow(t *testing.T, files map[string][]byte, d descriptor, to any) []byte {
	t.Helper()
	data := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); sum != d.Digest || len(data) != d.Size {
		t.Fatalf("%s %s is missing or has other content", d.MediaType, d.Digest)
	}
	if to != nil {
		if err := json.Unmarshal(data, to); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestArchiveLeadsToEveryFile(t *testing.T) {
	files, _ := untar(t, packed(t, tree(t, 0), tree(t, 0), "-name", "registry.example/podlane"))
	var top, index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("%v: %s", err, files["index.json"])
	}
	if name := top.Manifests[0].Annotations["io.containerd.image.name"]; name != "registry.example/podlane:v1.0.0" {
		t.Errorf("the image's name is %s", name)
	}
	follow(t, files, top.Manifests[0], &index)
	for i, arch := range []string{"amd64", "arm64"} {
		if p := index.Manifests[i].Platform; p == nil || *p != (platform{arch, "linux"}) {
			t.Fatalf("image %d is for %v", i, p)
		}
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		var config struct {
			Architecture string
			RootFS       struct {
				DiffIDs []string `json:"diff_ids"`
			}
			Config struct {
				Entrypoint []string
				Labels     map[string]string
			}
		}
		follow(t, files, index.Manifests[i], &manifest)
		follow(t, files, manifest.Config, &config)
		unzip, err := gzip.NewReader(bytes.NewReader(follow(t, files, manifest.Layers[0], nil)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(unzip)
		if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(plain)); err != nil || config.RootFS.DiffIDs[0] != sum || config.Architecture != arch {
			t.Errorf("%s: the configuration does not fit the layer: %+v, %v", arch, config, err)
		}
		if v := config.Config.Labels["org.opencontainers.image.version"]; v != "v1.0.0" {
			t.Errorf("%s: version %q, want v1.0.0", arch, v)
		}
		if entry := config.Config.Entrypoint[0]; entry != "/usr/bin/podlaned" {
			t.Errorf("%s: entrypoint %q, want /usr/bin/podlaned", arch, entry)
		}
		checkLayer(t, plain)
	}
}

// checkLayer checks that a layer's files belong to root, are readable for all, and have the commit's time.
func checkLayer(t *testing.T, data []byte) {
	t.Helper()
	_, headers := untar(t, data)
	want := []string{"etc/", "etc/passwd", "opt/", "opt/podlane/", "opt/podlane/cni/", "opt/podlane/cni/bridge", "usr/", "usr/bin/", "usr/bin/podlaned"}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(headers))); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	for name, h := range headers {
		mode := int64(0o755)
		if name == "etc/passwd" {
			mode = 0o644
		}
		if h.Mode != mode {
			t.Errorf("%s: mode %o, want %o", name, h.Mode, mode)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s: owner %d:%d %q, want root", name, h.Uid, h.Gid, h.Uname)
		}
		if at := h.ModTime.Unix(); at != 1700000000 {
			t.Errorf("%s: time %d, want 1700000000", name, at)
		}
	}
}

// Docker's classic store reads each architecture by its own tag.
func TestDockerFindsEachArchitecture(t *testing.T) {
	files, _ := untar(t, packed(t, tree(t, 0), tree(t, 0)))
	var images []dockerImage
	if err := json.Unmarshal(files["manifest.json"], &images); err != nil || len(images) != 2 {
		t.Fatalf("%v: %s", err, files["manifest.json"])
	}
	for i, tag := range []string{"ghcr.io/podlane/podlane:v1.0.0-amd64", "ghcr.io/podlane/podlane:v1.0.0-arm64"} {
		if m := images[i]; m.RepoTags[0] != tag || files[m.Config] == nil || files[m.Layers[0]] == nil {
			t.Errorf("%+v is not %s", m, tag)
		}
	}
}

func TestInvalidTrees(t *testing.T) {
	link := t.TempDir()
	if err := os.Symlink("/etc/passwd", link+"/passwd"); err != nil {
		t.Fatal(err)
	}
	out := "-out=" + t.TempDir() + "/image.tar"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{out}, "no file tree given"},
		{[]string{out, "amd64"}, `"amd64" is not ARCHITECTURE=FOLDER`},
		{[]string{out, "amd64=/none"}, "pack /none: "},
		{[]string{out, "amd64=" + link}, "is neither a file nor a folder"},
	} {
		if err := run(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}
