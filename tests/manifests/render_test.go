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
	"regexp"
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

var kindLine = regexp.MustCompile(`(?m)^kind: (\w+)$`)

// firstKind returns the kind of the first object of a stream.
func firstKind(stream []byte) string {
	if m := kindLine.FindSubmatch(stream); m != nil {
		return string(m[1])
	}
	return ""
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

// Each way lets a changed setting restart the pods: kustomize by the name of the ConfigMap, the chart by an annotation.
var (
	nameHash = regexp.MustCompile(`\bpodlane-[0-9a-z]{10}\b`)
	checksum = regexp.MustCompile(`(?m)^( +annotations:\n)? +checksum/settings: [0-9a-f]{64}.*\n`)
)

func fromKustomize(t *testing.T, dir string) objects {
	t.Helper()
	return split(t, nameHash.ReplaceAll(runTool(t, kustomize, "build", dir), []byte("podlane")))
}

func fromHelm(t *testing.T, dir string, args ...string) objects {
	t.Helper()
	args = append([]string{"template", "podlane", chart, "--namespace=podlane", "--values=" + filepath.Join(dir, "values.yaml")}, args...)
	return split(t, checksum.ReplaceAll(runTool(t, helm, args...), nil))
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

// restartKeys are the parts of a pod template that a changed setting changes.
func restartKeys(stream []byte) []string {
	var keys []string
	for _, key := range regexp.MustCompile(`(?m)^ +(checksum/settings: .*|name: podlane-[0-9a-z]{10})$`).FindAllString(string(stream), -1) {
		keys = append(keys, strings.TrimSpace(key))
	}
	return keys
}

// A pod reads its settings only when it starts. A change of the network configuration restarts none: podlane reads it anyway.
func TestChangedSettingRestartsThePods(t *testing.T) {
	fromChart := func(args ...string) []string {
		return restartKeys(runTool(t, helm, append([]string{"template", "podlane", chart, "--namespace=podlane"}, args...)...))
	}
	before := fromChart()
	if len(before) != 1 {
		t.Fatalf("%d checksums, want that of the DaemonSet: %v", len(before), before)
	}
	if after := fromChart("--set=settings.iface=eth1"); len(after) != 1 || after[0] == before[0] {
		t.Errorf("another setting does not change the pods: %v", after)
	}
	if after := fromChart("--set=network.Network=10.6.0.0/16"); !slices.Equal(before, after) {
		t.Errorf("another network changes the pods: %v, before %v", after, before)
	}
	hashes := map[string]string{}
	for _, dir := range []string{"testdata/kubernetes", "testdata/custom"} {
		keys := restartKeys(runTool(t, kustomize, "build", dir))
		if len(slices.Compact(slices.Clone(keys))) != 1 || len(keys) != 3 {
			t.Fatalf("%s: the ConfigMap and the two containers have the names %v", dir, keys)
		}
		hashes[keys[0]] = dir
	}
	if len(hashes) != 2 {
		t.Errorf("other settings have the same hash: %v", hashes)
	}
}

// The schema and the templates refuse wrong values before anything is installed. The error explains what to do.
func TestChartRefusesBadValues(t *testing.T) {
	etcd := "store=etcd,network.Network=10.5.0.0/16,etcd.endpoints[0]=http://198.18.1.1:2379"
	deploy := "store=etcd,network.Network=10.5.0.0/16,etcd.deploy=true,etcd.members[0].node=a,etcd.members[0].address=198.18.1.1"
	for _, c := range []struct{ set, want string }{
		{"store=sqlite", "value must be one of 'kubernetes', 'etcd'"},
		{"store=null", "use: helm upgrade … --reset-then-reuse-values --set store=etcd"},
		{"store=etcd", "the store etcd needs the URLs of its members, such as --set 'etcd.endpoints={http://10.0.0.1:2379}'"},
		{"store=etcd,etcd.endpoints=null", "the store etcd needs the URLs of its members"},
		{"store=etcd,etcd.endpoints[0]=http://198.18.1.1:2379", "the store etcd needs the range of the pod network, such as --set network.Network=10.5.0.0/16"},
		{"etcd.endpoints[0]=http://198.18.1.1:2379", "two stores: the store is kubernetes, but etcd's settings are given too: etcd.endpoints. To keep the leases in etcd, add --set store=etcd"},
		{"etcd.deploy=true", "two stores"},
		{"settings.etcd-prefix=/podlane/a", "two stores"},
		{"release=true", "two stores"},
		{"store=etcd,etcd.deploy=true", "etcd.deploy needs etcd.members"},
		{deploy + ",etcd.members[1].node=b,etcd.members[1].address=fd00::1", "addresses of both families: 198.18.1.1, fd00::1"},
		{deploy + ",etcd.members[1].node=a,etcd.members[1].address=198.18.1.2", "etcd.members has the Node a twice"},
		{deploy + ",etcd.endpoints[0]=http://198.18.1.9:2379", "etcd.deploy deploys one, and etcd.endpoints names another"},
		{etcd + ",etcd.members[0].node=a,etcd.members[0].address=cp1", "is not valid ipv4"},
		{"podMonitor.enabled=true", "podMonitor needs an address at which Prometheus reaches each node, such as --set metrics=:9473"},
		{"podMonitor.enabled=true,metrics=127.0.0.1:9473", "podMonitor needs an address"},
		{"metrics=9473", `metrics is "9473": give an address with a port, such as :9473`},
		{"metrics=:99999", "give an address with a port"},
		{"metrics=:9472", "metrics has the port 9472, which podlaned's other server uses"},
		{"serviceAccount.create=false", "give the name of an existing ServiceAccount"},
		{"etcd.endpoint=http://198.18.1.1:2379", "'endpoint' not allowed"},
		{"etcd.endpoints[0]=198.18.1.1:2379", "give a list of URLs with their ports, such as {http://10.0.0.1:2379}"},
		{"store=etcd,network.Network=10.5.0.0/16,etcd.endpoints[0]=http://198.18.1.1", "give a list of URLs with their ports"},
		{etcd + ",etcd.tls=true", "etcd.tls is true, but the endpoint http://198.18.1.1:2379 has no TLS"},
		{"store=etcd,network.Network=10.5.0.0/16,etcd.endpoints[0]=https://198.18.1.1:2379", "the endpoint https://198.18.1.1:2379 has TLS: add --set etcd.tls=true, and put ca.crt, tls.crt and tls.key into the Secret podlane-etcd-client"},
		{etcd + ",etcd.members[0].node=a,etcd.members[0].address=198.18.1.1", "add --set etcd.deploy=true, or remove etcd.members"},
		{"etcd.members[0].node=cp1", "missing property 'address'"},
		{"image.pullPolicy=Sometimes", "/image/pullPolicy"},
		{"image.digest=sha256:1", "give sha256: and 64 hexadecimal digits"},
		{"image.pullSecrets[0].name=a", "is now imagePullSecrets"},
		{"global.imageRegistry=https://registry.example", "give a registry without https://"},
		{"extraArgs[0]=--store=etcd", "extraArgs has --store=etcd: other objects of the chart depend on this setting. Use the value store"},
		{"extraEnv[0].name=PODLANE_ANNOTATION_PREFIX,extraEnv[0].value=a", "Use the value settings.annotation-prefix"},
		{"extraArgs={--log-level,debug}", `extraArgs is "debug": give a list of flags, each with its value`},
		{"extraArgs[0]=--etcd-prefix=/a", "two stores: the store is kubernetes, but etcd's settings are given too: extraArgs --etcd-prefix=/a"},
		{"extraEnv[0].name=PODLANE_ETCD_ENDPOINTS,extraEnv[0].value=a", "too: extraEnv PODLANE_ETCD_ENDPOINTS"},
		{"network.Network=10.244", `network.Network is "10.244": give an IPv4 prefix, such as 10.244.0.0/16`},
		{"network.IPv6Network=fd00::", "give an IPv6 prefix"},
		{"network.Backend.Type=host-gw", "podlane has no other backend"},
		{"network.Backend.VNI=16777216", "network.Backend.VNI is 16777216: give a number from 1 to 16777215"},
		{"network.Backend.Port=65536", "maximum: got 65,536, want 65,535"},
		{"network.Netwrk=10.5.0.0/16", "'Netwrk' not allowed"},
		{"network.network=10.5.0.0/16", "'network' not allowed"}, // in k3s there would be two
		{"network.Backend.VIN=5", "'VIN' not allowed"},
		{"settings.cni-conf=/x.conflist", "give a file in /etc/cni/net.d, the folder in the container"},
		{"settings.resync=30", `settings.resync is "30": give a duration with its unit, such as 30s`},
		{"podMonitor.interval=30", "give a duration with its unit"},
		{"settings.PODLANE_IFACE=eth1", "'PODLANE_IFACE' not allowed"},
		{"settings.ifcae=eth1", "'ifcae' not allowed"},
		{"settings.ip-masq=no", "/settings/ip-masq"},
		{"settings.http=127.0.0.1:9500", "give an address with the port 9472, because the probes use 127.0.0.1:9472"}, // the probes would fail, and so restart podlaned
		{"settings.http=", `settings.http is ""`},
		{"network=null", "missing property 'network'"},
		{"cni.bin=opt/cni/bin", "give the folder with its whole path, such as /opt/cni/bin"},
		{"realease=true", "'realease' not allowed"},
	} {
		if _, err := tryTool(t, helm, "template", "podlane", chart, "--set="+c.set); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--set %s: want %q, got: %v", c.set, c.want, err)
		}
	}
}
