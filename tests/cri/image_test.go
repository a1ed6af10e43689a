package cri

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
)

// image is the only image of these tests: busybox. Its default command waits, as a sandbox's own container must.
const (
	image     = "localhost/busybox:latest"
	imageFile = machines + "/busybox.tar"
)

// writeImage writes the image as `docker save` does: a tar file of a layer, a configuration and a manifest.
func writeImage(path string) error {
	program, err := staticBusybox()
	if err != nil {
		return err
	}
	layer, err := archive(file{"bin/busybox", program, 0o755}, file{"bin/sh", nil, 0}, file{"tmp/", nil, 0o777})
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/bin/busybox", "sleep", "1d"}, "Env": []string{"PATH=/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{image}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	data, err := archive(file{"layer.tar", layer, 0o644}, file{"config.json", config, 0o644}, file{"manifest.json", manifest, 0o644})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// staticBusybox returns a busybox that needs no libraries.
func staticBusybox() ([]byte, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w: install busybox-static", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	program, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, fmt.Errorf("%s needs libraries: install busybox-static instead", path)
	}
	return data, nil
}

// file is a member of an archive. A name that ends in a slash is a folder; a file without a mode is a link to busybox.
type file struct {
	name string
	data []byte
	mode int64
}

func archive(files ...file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data))} // a slash at the end makes it a folder
		if f.mode == 0 {
			header.Typeflag, header.Linkname = tar.TypeSymlink, "busybox"
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
