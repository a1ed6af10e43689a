package kubernetes

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// image is one image of an archive. All images of an archive have the same files.
type image struct {
	entrypoint, command []string
	tags                []string
}

const (
	registry = "registry.k8s.io/"
	podlane  = "ghcr.io/podlane/podlane"
)

// testImages are the images of the tests' pods, without podlane's own. Those of nginx contain agnhost instead.
var testImages = map[string][]image{
	"pause":    {{[]string{"/pause"}, nil, []string{registry + "pause:3.10.1"}}},
	"coredns":  {{[]string{"/coredns"}, nil, []string{registry + "coredns/coredns:local"}}},
	"etcd":     {{nil, []string{"etcd"}, []string{registry + "etcd:3.6.6-0"}}},
	"podlaned": {{[]string{"/podlaned"}, nil, []string{podlane + ":broken"}}}, // it exits at once
	"agnhost": {
		{[]string{"/agnhost"}, []string{"pause"}, []string{registry + "e2e-test-images/agnhost:2.59", registry + "e2e-test-images/agnhost:2.55"}},
		{nil, []string{"/bin/sh"}, []string{registry + "e2e-test-images/jessie-dnsutils:1.7", registry + "e2e-test-images/busybox:1.37.0-1", "docker.io/library/busybox:1.37.0"}},
		{[]string{"/agnhost", "test-webserver"}, nil, []string{registry + "e2e-test-images/nginx:1.14-4", registry + "e2e-test-images/nginx:1.15-4"}},
	},
}

// makeImages writes an archive for each image. It returns their paths.
func makeImages(t *testing.T) (archives []string) {
	t.Helper()
	for name, images := range testImages {
		root := filepath.Join(disks, "images", name)
		cluster.Check(t, os.MkdirAll(root, 0o755))
		if name == "agnhost" {
			out, err := exec.CommandContext(cluster.Bounded(t, time.Minute), "sh", "rootfs.sh", root).CombinedOutput()
			if err != nil {
				t.Fatalf("rootfs.sh: %v: %s", err, out)
			}
		} else {
			for program, file := range programs(name) {
				data, err := os.ReadFile(file)
				cluster.Check(t, err)
				cluster.Check(t, os.WriteFile(filepath.Join(root, program), data, 0o755))
			}
		}
		archive := root + ".tar"
		cluster.Check(t, pack(archive, root, images))
		cluster.Check(t, os.RemoveAll(root))
		archives = append(archives, archive)
	}
	for _, tag := range []string{"v1", "v2"} { // as built by `make test-kubernetes`
		archive, err := filepath.Abs("../../bin/podlane-" + tag + ".tar")
		cluster.Check(t, err)
		archives = append(archives, archive)
	}
	return archives
}

// programs returns the files of an image by their names in it.
func programs(image string) map[string]string {
	const bin = "../../bin/kubernetes/"
	switch image {
	case "podlaned":
		return map[string]string{image: "/bin/busybox"} // it has no applet of this name
	case "etcd":
		return map[string]string{image: bin + image, "etcdctl": bin + "etcdctl"}
	}
	return map[string]string{image: bin + image}
}

// pack writes an archive as `docker save` does: a layer, and a configuration for each image.
func pack(archive, root string, images []image) error {
	layer := archive + ".layer"
	defer os.Remove(layer)
	sum, err := writeLayer(layer, root)
	if err != nil {
		return err
	}
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := addFile(w, "layer.tar", layer); err != nil {
		return err
	}
	var manifest []any
	for i, img := range images {
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux",
			"config": map[string]any{"Entrypoint": img.entrypoint, "Cmd": img.command, "Env": []string{"PATH=/bin:/usr/bin:/usr/local/bin:/"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum}},
		})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("config%d.json", i)
		if err := addBytes(w, name, config); err != nil {
			return err
		}
		manifest = append(manifest, map[string]any{"Config": name, "RepoTags": img.tags, "Layers": []string{"layer.tar"}})
	}
	data, err := json.Marshal(manifest)
	if err == nil {
		err = addBytes(w, "manifest.json", data)
	}
	if err != nil {
		return err
	}
	return w.Close()
}

// writeLayer writes a tree as a tar file. It returns the checksum.
func writeLayer(path, root string) (sum string, err error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	w := tar.NewWriter(io.MultiWriter(f, hash))
	if err := w.AddFS(os.DirFS(root)); err != nil {
		return "", err
	}
	err = w.Close()
	return fmt.Sprintf("%x", hash.Sum(nil)), err
}

func addFile(w *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()})
	}
	if err == nil {
		_, err = io.Copy(w, f)
	}
	return err
}

func addBytes(w *tar.Writer, name string, data []byte) error {
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))})
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}
