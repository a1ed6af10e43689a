package kubernetes

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

// etcdPKI is the folder of the certificates of podlane's etcd.
const etcdPKI = disks + "/etcd-pki"

// overlay is what a user of etcd writes: the endpoint and the image.
const overlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - DIST/base
  - DIST/release
components:
  - DIST/components/etcd-store
  - DIST/components/tls
images:
  - name: ghcr.io/podlane/podlane
    newTag: TAG
configMapGenerator:
  - name: podlane
    namespace: podlane
    behavior: merge
    literals:
      - PODLANE_ETCD_ENDPOINTS=https://` + outside + `:2379
  - name: podlane-network
    namespace: podlane
    behavior: merge
    literals:
      - net-conf.json={"Network":"10.5.0.0/16"}
`

// createSecrets makes podlane's namespace with the certificates for etcd's clients and for members that run in the
// cluster.
func (k *kube) createSecrets(t *testing.T) {
	t.Helper()
	k.kubectl(t, "apply", "-f", "../../dist/kubernetes/base/namespace.yaml")
	for _, user := range []string{"client", "server"} {
		k.kubectl(t, "-n", "podlane", "create", "secret", "generic", "podlane-etcd-"+user, "--from-file=ca.crt="+etcdPKI+"/ca.crt",
			"--from-file=tls.crt="+etcdPKI+"/"+user+".crt", "--from-file=tls.key="+etcdPKI+"/"+user+".key")
	}
}

// trustOnly makes pods that start from now on trust only one authority.
func (k *kube) trustOnly(t *testing.T, dir string) {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	cluster.Check(t, err)
	patch, err := json.Marshal(map[string]any{"data": map[string][]byte{"ca.crt": pem}})
	cluster.Check(t, err)
	k.kubectl(t, "-n", "podlane", "patch", "secret", "podlane-etcd-client", "--patch="+string(patch))
}

// serveEtcd runs an etcd outside the cluster, for clients with a certificate of the authority.
func (k *kube) serveEtcd(t *testing.T) (end func()) {
	t.Helper()
	return k.startProcess(t, "etcd", "../../bin/kubernetes/etcd", "--data-dir="+disks+"/etcd", "--listen-client-urls="+k.etcd, "--advertise-client-urls="+k.etcd,
		"--client-cert-auth", "--trusted-ca-file="+etcdPKI+"/ca.crt", "--cert-file="+etcdPKI+"/server.crt", "--key-file="+etcdPKI+"/server.key")
}

// apply applies podlane's manifests with an image, as a user does: podlane.yaml, or an overlay with the endpoint of etcd.
func (k *kube) apply(t *testing.T, tag string) {
	t.Helper()
	if k.etcd == "" {
		k.applyFile(t, tag)
	} else {
		k.applyOverlay(t, tag)
	}
}

// applyFile applies podlane.yaml as `make dist` packs it. Only the image's tag is replaced.
func (k *kube) applyFile(t *testing.T, tag string) {
	t.Helper()
	text, err := os.ReadFile("../../bin/podlane.yaml")
	cluster.Check(t, err)
	file := filepath.Join(disks, "podlane.yaml")
	cluster.Check(t, os.WriteFile(file, bytes.ReplaceAll(text, []byte(podlane+":v1"), []byte(podlane+":"+tag)), 0o644))
	t.Log(k.kubectl(t, "apply", "-f", file))
}

func (k *kube) applyOverlay(t *testing.T, tag string) {
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

// rollout applies an image. It waits until every node has it.
func (k *kube) rollout(t *testing.T, tag string) {
	t.Helper()
	k.apply(t, tag)
	k.awaitRollout(t)
	if tags := k.tags(t); len(tags) != 1 || tags[0] != tag {
		t.Errorf("images after the rollout: %v, want %s", tags, tag)
	}
}

// pod is a pod of the tests, as an end of streams.
type pod struct {
	name, node, address string
	addresses           []string // of each family
	sandbox.Namespace
}

// podsOf finds the running pods with a label, and binds their network namespaces to names.
func (k *kube) podsOf(t *testing.T, namespace, label string) (pods []pod) {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ NodeName string }
			Status   struct {
				PodIP, Phase string
				PodIPs       []struct{ IP string }
			}
		}
	}
	cluster.Check(t, json.Unmarshal([]byte(k.kubectl(t, "get", "-n", namespace, "pods", "-l", label, "-o", "json")), &list))
	for _, p := range list.Items {
		if p.Status.Phase != "Running" || p.Status.PodIP == "" {
			continue
		}
		found := pod{name: p.Metadata.Name, node: p.Spec.NodeName, address: p.Status.PodIP, Namespace: namespaceOf(t, p.Metadata.Name)}
		for _, address := range p.Status.PodIPs {
			found.addresses = append(found.addresses, address.IP)
		}
		pods = append(pods, found)
	}
	return pods
}

// namespaceOf binds a pod's network namespace to a name. It finds one of the pod's processes by the pod's name in its
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
		return bindNamespace(t, filepath.Join(filepath.Dir(file), "ns/net"), pod)
	}
	t.Fatalf("no process of pod %s is found", pod)
	return sandbox.Namespace{}
}
