package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// image is the archive's content: an OCI image layout (github.com/opencontainers/image-spec, image-layout.md).
//
//	index.json --> index (all architectures) --> manifest --> config, layer
//
// Docker's classic store does not read the index. It reads manifest.json, in which each architecture has its own tag.
type image struct {
	name, version, revision string
	created                 time.Time

	blobs     []blob
	manifests []descriptor
	docker    []dockerImage
}

// blob is a file below blobs/.
type blob struct {
	path string
	data []byte
}

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

type object = map[string]any // encoding/json sorts its keys

// put adds a blob and returns its descriptor.
func (i *image) put(mediaType string, data []byte) descriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	i.blobs = append(i.blobs, blob{"blobs/sha256/" + sum, data})
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(data)}
}

// add adds an architecture.
func (i *image) add(arch string, data []byte, diffID string) {
	config := i.put(typeConfig, marshal(object{
		"architecture": arch, "os": "linux", "created": i.created,
		"config": object{
			"Entrypoint": []string{"/usr/bin/podlaned"}, "Env": []string{"PATH=/usr/bin"}, "Labels": i.labels(),
		},
		"rootfs":  object{"type": "layers", "diff_ids": []string{diffID}},
		"history": []object{{"created": i.created, "created_by": "podlane's dist/image"}},
	}))
	configPath := i.blobs[len(i.blobs)-1].path
	layer := i.put(typeLayer, data)
	layerPath := i.blobs[len(i.blobs)-1].path
	manifest := i.put(typeManifest, marshal(object{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{layer}, "annotations": i.labels(),
	}))
	manifest.Platform = &platform{Architecture: arch, OS: "linux"}
	i.manifests = append(i.manifests, manifest)
	i.docker = append(i.docker, dockerImage{configPath, []string{i.name + ":" + i.version + "-" + arch}, []string{layerPath}})
}

// labels returns the image's labels, with the keys of the image-spec (annotations.md).
func (i *image) labels() map[string]string {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":       "podlane",
		prefix + "description": "VXLAN overlay networking with subnet leases in etcd",
		prefix + "source":      "https://github.com/podlane/podlane",
		prefix + "version":     i.version,
	}
	if i.revision != "" {
		labels[prefix+"revision"] = i.revision
	}
	return labels
}

// write writes the archive and returns the digest of the image.
func (i *image) write(path string) (digest string, err error) {
	index := i.put(typeIndex, marshal(object{
		"schemaVersion": 2, "mediaType": typeIndex, "manifests": i.manifests, "annotations": i.labels(),
	}))
	index.Annotations = map[string]string{
		"io.containerd.image.name":          i.name + ":" + i.version, // the image's name in containerd
		"org.opencontainers.image.ref.name": i.version,
	}
	files := append([]blob{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", marshal(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{index}})},
		{"manifest.json", marshal(i.docker)},
	}, i.blobs...)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: f.path, Size: int64(len(f.data)), Mode: 0o644, Format: tar.FormatUSTAR}))
		_, e := w.Write(f.data)
		err = errors.Join(err, e)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	return index.Digest, os.WriteFile(path, archive.Bytes(), 0o644) //nolint:gosec // every user may import it
}

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and times: it cannot fail
	}
	return data
}
