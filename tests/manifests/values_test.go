package manifests

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

const defaults = "testdata/kubernetes"

// notInValues are podlaned's settings that the chart's value settings does not have, each with the reason.
var notInValues = map[string]string{
	"cni-bin":        "the folder has a fixed place in the container; the value cni.bin is the node's",
	"config":         "the container has no such file",
	"etcd-endpoints": "the value etcd.endpoints",
	"metrics":        "the value metrics",
	"network-file":   "the file has a fixed place in the container; the value network is its content",
	"node-id":        "differs between nodes",
	"node-name":      "differs between nodes",
	"public-ip":      "differs between nodes",
	"public-ipv6":    "differs between nodes",
	"run-dir":        "the folder has a fixed place in the container",
	"state-dir":      "the folder has a fixed place in the container",
	"store":          "the value store",
}

// The chart refuses a misspelt setting. So its list must be complete.
func TestValuesHaveAllSettings(t *testing.T) {
	data, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Settings struct {
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	listed := schema.Properties.Settings.Properties
	daemon := flags(t, "podlaned", "--help")
	for _, name := range daemon {
		_, inList := listed[name]
		_, excepted := notInValues[name]
		if inList == excepted {
			t.Errorf("the setting %s: in the values %v, excepted %v; want one of both", name, inList, excepted)
		}
	}
	known := slices.Concat(daemon, flags(t, "podlane-kube", "node", "--help"))
	for name := range listed {
		if !slices.Contains(known, name) {
			t.Errorf("the values have the setting %s, which no program has", name)
		}
	}
}

// A setting that belongs elsewhere is refused, and the error names what to use.
func TestSettingsOfOtherValuesAreRefused(t *testing.T) {
	for name, reason := range notInValues {
		_, err := tryTool(t, helm, "template", "podlane", chart, "--set=settings."+name+"=a")
		if err == nil || !strings.Contains(err.Error(), "remove settings."+name+": ") {
			t.Errorf("settings.%s is not refused with a reason: %v", name, err)
			continue
		}
		if value, use := strings.CutPrefix(reason, "the value "); use && !strings.Contains(err.Error(), "use the value "+value) {
			t.Errorf("settings.%s: the error does not name the value %s: %v", name, value, err)
		}
	}
}

// The chart refuses a misspelt key of the network configuration. So its list must be complete: the documentation has all.
func TestValuesHaveAllKeysOfTheNetwork(t *testing.T) {
	type object struct{ Properties map[string]json.RawMessage }
	keys := func(data []byte) map[string]json.RawMessage {
		var o object
		if err := json.Unmarshal(data, &o); err != nil {
			t.Fatal(err)
		}
		return o.Properties
	}
	schema, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	network := keys(keys(schema)["network"])
	backend := keys(network["Backend"])
	_, section, _ := strings.Cut(string(page), "\n## Network configuration\n")
	rows := regexp.MustCompile("(?m)^\\| `(Backend\\.)?(\\w+)` \\|").FindAllStringSubmatch(section, -1)
	if len(rows) < 17 {
		t.Fatalf("%d keys in the documentation, want at least 17", len(rows))
	}
	for _, row := range rows {
		in := network
		if row[1] != "" {
			in = backend
		}
		if in[row[2]] == nil {
			t.Errorf("the values do not have %s%s", row[1], row[2])
		}
	}
}

// A value that is null counts as absent. A registry may end in a slash.
func TestAbsentValues(t *testing.T) {
	all := fromHelm(t, defaults, "--set=imagePullSecrets=null,extraArgs=null,extraEnv=null,tolerations=null,podMonitor=null,metrics=null,resources=null,updateStrategy=null,namespace.create=true,namespace.labels=null,global.imageRegistry=registry.example/")
	pod := pods(t, all)["DaemonSet podlane"]
	if got := pod.Containers[0].Image; got != "registry.example/podlane/podlane:dev" {
		t.Errorf("image %s", got)
	}
	if all["Namespace podlane"] == nil {
		t.Error("no Namespace")
	}
}

// k3s and RKE2 have no ClusterConfiguration of kubeadm. A given network is used everywhere.
func TestNetworkOfADistribution(t *testing.T) {
	for _, c := range []struct{ version, set, want string }{
		{"v1.35.0", "", "{}"},
		{"v1.35.0+k3s1", "", `{"Network":"10.42.0.0/16"}`},
		{"v1.35.0+rke2r1", "", `{"Network":"10.42.0.0/16"}`},
		{"v1.35.0+rke2r1", "network.Backend.VNI=5", `{"Backend":{"VNI":5},"Network":"10.42.0.0/16"}`},
		{"v1.35.0+k3s1", "network.Network=10.6.0.0/16", `{"Network":"10.6.0.0/16"}`},
	} {
		all := fromHelm(t, defaults, "--kube-version="+c.version, "--set="+c.set)
		if got := decode[corev1.ConfigMap](t, all, "ConfigMap podlane-network").Data["net-conf.json"]; got != c.want {
			t.Errorf("Kubernetes %s, --set %s: network %s, want %s", c.version, c.set, got, c.want)
		}
	}
}

func TestAdmissionPolicyNeedsKubernetes130(t *testing.T) {
	for _, c := range []struct {
		version, set string
		want         bool
	}{
		{"v1.29.9", "admissionPolicy=auto", false},
		{"v1.30.0", "admissionPolicy=auto", true},
		{"v1.35.0+k3s1", "admissionPolicy=auto", true},
		{"v1.35.0", "admissionPolicy=false", false},
		{"v1.29.9", "admissionPolicy=true", true},
	} {
		all := fromHelm(t, defaults, "--kube-version="+c.version, "--set="+c.set)
		for _, name := range []string{"ValidatingAdmissionPolicy podlane", "ValidatingAdmissionPolicyBinding podlane"} {
			if got := all[name] != nil; got != c.want {
				t.Errorf("Kubernetes %s, %s: %s exists: %v, want %v", c.version, c.set, name, got, c.want)
			}
		}
	}
}

// The policy must name the account whose token podlane-kube has, and the annotations that it writes.
func TestAdmissionPolicyFollowsTheValues(t *testing.T) {
	for _, c := range []struct{ set, account, prefix string }{
		{"", "podlane", "flannel.alpha.coreos.com/"},
		{"serviceAccount.name=net", "net", "flannel.alpha.coreos.com/"},
		{"settings.annotation-prefix=example.org", "podlane", "example.org/"},
		{"settings.annotation-prefix=example.org/", "podlane", "example.org/"},
		{"settings.annotation-prefix=example.org/blue", "podlane", "example.org/blue-"},
		{"settings.annotation-prefix=example.org/blue-", "podlane", "example.org/blue-"},
	} {
		all := fromHelm(t, defaults, "--set="+c.set)
		policy := string(all["ValidatingAdmissionPolicy podlane"])
		for _, want := range []string{`== "system:serviceaccount:podlane:` + c.account + `"`, `.map(k, "` + c.prefix + `" + k)`} {
			if !strings.Contains(policy, want) {
				t.Errorf("--set %s: the policy has no %s:\n%s", c.set, want, policy)
			}
		}
		if got := pods(t, all)["DaemonSet podlane"].ServiceAccountName; got != c.account {
			t.Errorf("--set %s: the pods have the account %s, want %s", c.set, got, c.account)
		}
	}
}

// One registry can have all images.
func TestImagesOfOneRegistry(t *testing.T) {
	images := regexp.MustCompile(`(?m)^ +image: (\S+)$`)
	for registry, want := range map[string][]string{
		"": {"docker.io/library/busybox:1.37.0", "ghcr.io/podlane/podlane:dev", "registry.k8s.io/etcd:3.6.6-0"},
		"registry.example:5000/mirror": {
			"registry.example:5000/mirror/etcd:3.6.6-0", "registry.example:5000/mirror/library/busybox:1.37.0", "registry.example:5000/mirror/podlane/podlane:dev",
		},
	} {
		var got []string
		for _, doc := range fromHelm(t, "testdata/all", "--set=global.imageRegistry="+registry) {
			for _, m := range images.FindAllSubmatch(doc, -1) {
				got = append(got, string(m[1]))
			}
		}
		slices.Sort(got)
		if diff := gocmp.Diff(want, slices.Compact(got)); diff != "" {
			t.Errorf("registry %q (-want +got):\n%s", registry, diff)
		}
	}
}

// Secrets can have been made by another program, such as cert-manager.
func TestSecretsWithOtherNames(t *testing.T) {
	all := fromHelm(t, "testdata/all", "--set=etcd.clientSecret=client,etcd.serverSecret=server,global.imagePullSecrets[0]=a,imagePullSecrets[0].name=b")
	for name, secret := range map[string]string{"DaemonSet podlane": "client", "Deployment podlane-release": "client", "DaemonSet podlane-etcd": "server"} {
		pod := pods(t, all)[name]
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Secret != nil })
		if i < 0 || pod.Volumes[i].Secret.SecretName != secret {
			t.Errorf("%s has not the Secret %s", name, secret)
		}
		if diff := gocmp.Diff([]corev1.LocalObjectReference{{Name: "a"}, {Name: "b"}}, pod.ImagePullSecrets); diff != "" {
			t.Errorf("%s: Secrets of registries (-want +got):\n%s", name, diff)
		}
	}
}

// Only the container that reads the network configuration has it.
func TestNetworkFileHasOneReader(t *testing.T) {
	for dir, reader := range map[string]string{defaults: "podlane-kube", "testdata/tls": "podlaned"} {
		for _, c := range pods(t, fromKustomize(t, dir))["DaemonSet podlane"].Containers {
			mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "network" && m.MountPath == "/etc/podlane/network" })
			set := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
				return e.Name == "PODLANE_NETWORK_FILE" && e.Value == "/etc/podlane/network/net-conf.json"
			})
			if want := c.Name == reader; mounted != want || set != want {
				t.Errorf("%s: %s has the file %v, and its name %v; want %v", dir, c.Name, mounted, set, want)
			}
		}
	}
}

// kubectl's variables are expanded in order: a variable must be defined before another one uses it.
func TestVariablesAreDefinedBeforeTheirUse(t *testing.T) {
	for _, dir := range installations(t) {
		for name, pod := range pods(t, fromKustomize(t, dir)) {
			for _, c := range pod.Containers {
				defined := map[string]bool{}
				for _, e := range c.Env {
					for _, m := range regexp.MustCompile(`\$\((\w+)\)`).FindAllStringSubmatch(e.Value, -1) {
						if !defined[m[1]] {
							t.Errorf("%s: %s: %s uses %s, which is defined later", dir, name, e.Name, m[1])
						}
					}
					defined[e.Name] = true
				}
			}
		}
	}
}
