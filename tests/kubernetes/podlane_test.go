package kubernetes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// overlay is what a user writes: where etcd is, and which image.
const overlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - DIST/base
  - DIST/release
images:
  - name: ghcr.io/podlane/podlane
    newTag: TAG
configMapGenerator:
  - name: podlane
    namespace: podlane
    behavior: merge
    literals:
      - PODLANE_ETCD_ENDPOINTS=http://` + outside + `:2379
`

// apply applies podlane's manifests with an image.
func (k *kube) apply(t *testing.T, tag string) {
	t.Helper()
	folder := filepath.Join(disks, "overlay")
	cluster.Check(t, os.MkdirAll(folder, 0o755))
	dist, err := filepath.Abs("../../dist/kubernetes")
	cluster.Check(t, err)
	dist, err = filepath.Rel(folder, dist)
	cluster.Check(t, err)
	text := strings.NewReplacer("DIST", dist, "TAG", tag).Replace(overlay)
	cluster.Check(t, os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o644))
	t.Log(k.kubectl(t, "apply", "-k", folder))
}

// rollout applies an image and waits until every node has it.
func (k *kube) rollout(t *testing.T, tag string) {
	t.Helper()
	k.apply(t, tag)
	k.settled(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != tag {
		t.Errorf("after the rollout of %s the images are %v", tag, tags)
	}
}

// pod is a pod of the tests as streams see it.
type pod struct {
	name, node, address string
	sandbox.Namespace
}

// podsOf finds the running pods with a label, and gives their network namespaces names.
func (k *kube) podsOf(t *testing.T, namespace, label string) (pods []pod) {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct{ PodIP, Phase string }
		}
	}
	cluster.Check(t, json.Unmarshal([]byte(k.kubectl(t, "get", "-n", namespace, "pods", "-l", label, "-o", "json")), &list))
	for _, p := range list.Items {
		if p.Status.Phase == "Running" && p.Status.PodIP != "" {
			pods = append(pods, pod{p.Metadata.Name, p.Spec.NodeName, p.Status.PodIP, namespaceOf(t, p.Metadata.Name)})
		}
	}
	return pods
}

// namespaceOf gives the network namespace of a pod a name, by one of its processes: each has the pod's name in its
// environment.
func namespaceOf(t *testing.T, pod string) sandbox.Namespace {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	cluster.Check(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains("\x00"+string(data), "\x00HOSTNAME="+pod+"\x00") {
			continue
		}
		return hold(t, filepath.Join(filepath.Dir(file), "ns/net"), pod)
	}
	t.Fatalf("no process of pod %s is found", pod)
	return sandbox.Namespace{}
}
