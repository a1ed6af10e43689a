package manifests

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kinds are the API's types of the installed objects.
var kinds = map[string]func() any{
	"Namespace":                        func() any { return &corev1.Namespace{} },
	"ServiceAccount":                   func() any { return &corev1.ServiceAccount{} },
	"Role":                             func() any { return &rbacv1.Role{} },
	"RoleBinding":                      func() any { return &rbacv1.RoleBinding{} },
	"ValidatingAdmissionPolicy":        func() any { return &admissionv1.ValidatingAdmissionPolicy{} },
	"ValidatingAdmissionPolicyBinding": func() any { return &admissionv1.ValidatingAdmissionPolicyBinding{} },
	"PodMonitor":                       func() any { return &podMonitor{} },
	"ConfigMap":                        func() any { return &corev1.ConfigMap{} },
	"ClusterRole":                      func() any { return &rbacv1.ClusterRole{} },
	"ClusterRoleBinding":               func() any { return &rbacv1.ClusterRoleBinding{} },
	"DaemonSet":                        func() any { return &appsv1.DaemonSet{} },
	"Deployment":                       func() any { return &appsv1.Deployment{} },
}

// podMonitor is the part of the kind of Prometheus' operator that is used. Its module is not a dependency.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Path     string `json:"path"`
			Interval string `json:"interval"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// decode reads an object as the API server does, but refuses unknown fields.
func decode[T any](t *testing.T, all objects, name string) *T {
	t.Helper()
	kind, _, _ := strings.Cut(name, " ")
	if kinds[kind] == nil {
		t.Fatalf("%s: unknown kind %s", name, kind)
	}
	object, _ := kinds[kind]().(*T)
	if object == nil || all[name] == nil {
		t.Fatalf("no object %s", name)
	}
	if err := yaml.UnmarshalStrict(all[name], object); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return object
}

func TestManifestsHaveOnlyFieldsOfTheAPI(t *testing.T) {
	for _, dir := range installations(t) {
		for name, doc := range fromKustomize(t, dir) {
			kind, _, _ := strings.Cut(name, " ")
			if kinds[kind] == nil {
				t.Errorf("%s: unknown kind %s", name, kind)
			} else if err := yaml.UnmarshalStrict(doc, kinds[kind]()); err != nil {
				t.Errorf("%s: %s: %v", dir, name, err)
			}
		}
	}
}

func TestDaemonSetIsNodeCritical(t *testing.T) {
	d := decode[appsv1.DaemonSet](t, fromKustomize(t, "testdata/kubernetes"), "DaemonSet podlane")
	pod := d.Spec.Template.Spec
	if !pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Errorf("host network %v, PIDs %v, IPC %v; want only the network", pod.HostNetwork, pod.HostPID, pod.HostIPC)
	}
	if got, want := pod.PriorityClassName, "system-node-critical"; got != want {
		t.Errorf("priority class %s, want %s", got, want)
	}
	if diff := gocmp.Diff([]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations); diff != "" {
		t.Errorf("it must tolerate every taint (-want +got):\n%s", diff)
	}
	if u := d.Spec.UpdateStrategy; u.RollingUpdate == nil || u.RollingUpdate.MaxUnavailable.String() != "1" || u.RollingUpdate.MaxSurge != nil {
		t.Errorf("update strategy %v, want one node at a time", u)
	}
	for path, probe := range map[string]*corev1.Probe{"/healthz": pod.Containers[0].LivenessProbe, "/readyz/attach": pod.Containers[0].ReadinessProbe} {
		if g := probe.HTTPGet; g == nil || g.Host != "127.0.0.1" || g.Port.String() != "9472" || g.Path != path {
			t.Errorf("probe %v, want %s on 127.0.0.1:9472", probe, path)
		}
	}
}

// pods returns the pods of an installation by the name of their controller.
func pods(t *testing.T, all objects) map[string]corev1.PodSpec {
	t.Helper()
	specs := map[string]corev1.PodSpec{}
	for name := range all {
		switch kind, _, _ := strings.Cut(name, " "); kind {
		case "DaemonSet":
			specs[name] = decode[appsv1.DaemonSet](t, all, name).Spec.Template.Spec
		case "Deployment":
			specs[name] = decode[appsv1.Deployment](t, all, name).Spec.Template.Spec
		}
	}
	return specs
}

func TestNothingIsPrivileged(t *testing.T) {
	for name, pod := range pods(t, fromKustomize(t, "testdata/all")) {
		if p := pod.SecurityContext; p == nil || p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s has no seccomp profile", name)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			if c.Name == "bridge-netfilter" { // the only privileged one, which a user enables by name
				continue
			}
			var added []corev1.Capability
			if c.Name == "podlaned" {
				added = []corev1.Capability{"NET_ADMIN", "NET_RAW"}
			}
			s := c.SecurityContext
			switch {
			case s == nil || s.Privileged != nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
				t.Errorf("%s: %s may have privileges", name, c.Name)
			case s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
				t.Errorf("%s: %s may write to its image", name, c.Name)
			case !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(s.Capabilities.Add, added):
				t.Errorf("%s: %s has the capabilities %v but not %v", name, c.Name, s.Capabilities.Add, s.Capabilities.Drop)
			}
		}
	}
}

// With SELinux, a pod that writes to folders of the node needs a type that may.
func TestSELinuxTypeForHostPaths(t *testing.T) {
	for name, pod := range pods(t, fromKustomize(t, "testdata/etcd")) {
		folders := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.HostPath != nil })
		o := pod.SecurityContext.SELinuxOptions
		if folders != (o != nil && o.Type == "spc_t") {
			t.Errorf("%s has folders of the node: %v; SELinux: %v", name, folders, o)
		}
	}
}

func TestHostPathsOfTheDaemonSet(t *testing.T) {
	var paths []string
	for _, v := range pods(t, fromKustomize(t, "testdata/kubernetes"))["DaemonSet podlane"].Volumes {
		if v.HostPath != nil {
			paths = append(paths, v.HostPath.Path)
		}
	}
	if want := []string{"/run/podlane", "/var/lib/podlane", "/opt/cni/bin", "/etc/cni/net.d", "/var/lib/cni/networks"}; !slices.Equal(paths, want) {
		t.Errorf("folders of the node (-want +got):\n%s", gocmp.Diff(want, paths))
	}
}

// podlaned checks which plugins are installed. Only the init container writes them.
func TestOnlyInstallWritesPlugins(t *testing.T) {
	pod := pods(t, fromKustomize(t, "testdata/kubernetes"))["DaemonSet podlane"]
	want := map[string]string{"install": "/host/cni/bin", "podlaned": "/opt/cni/bin, read only"}
	got := map[string]string{}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, m := range c.VolumeMounts {
			if m.Name == "cni-bin" {
				got[c.Name] = m.MountPath + map[bool]string{true: ", read only"}[m.ReadOnly]
			}
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("mounts of the plugins by container (-want +got):\n%s", diff)
	}
}

// flags returns the names of a program's flags.
func flags(t *testing.T, program string, args ...string) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`).FindAllSubmatch(runTool(t, "../../bin/"+program, args...), -1) {
		names = append(names, string(m[1]))
	}
	return names
}

// A variable that no program has would silently do nothing.
func TestEachVariableIsASetting(t *testing.T) {
	programs := map[string][]string{"podlaned": flags(t, "podlaned", "--help"), "podlane-kube": flags(t, "podlane-kube", "node", "--help")}
	setting := func(variable string) string {
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "PODLANE_"), "_", "-"))
	}
	for _, dir := range installations(t) {
		all := fromKustomize(t, dir)
		for name := range decode[corev1.ConfigMap](t, all, "ConfigMap podlane").Data { // for both programs
			if !slices.Contains(slices.Concat(programs["podlaned"], programs["podlane-kube"]), setting(name)) {
				t.Errorf("%s: no program has the setting %s", dir, setting(name))
			}
		}
		for _, c := range pods(t, all)["DaemonSet podlane"].Containers {
			for _, e := range c.Env {
				if strings.HasPrefix(e.Name, "PODLANE_") && !slices.Contains(programs[c.Name], setting(e.Name)) {
					t.Errorf("%s: %s has no setting %s", dir, c.Name, setting(e.Name))
				}
			}
		}
	}
}

// The expected permissions are repeated here, so that a change needs two edits.
func TestAPIPermissions(t *testing.T) {
	all := fromKustomize(t, "testdata/all")
	for name, want := range map[string][]string{
		"ClusterRole podlane":         {"nodes: list watch", "nodes/status: patch"},
		"ClusterRole podlane-release": {"nodes: get list watch"},
		"Role podlane-configuration":  {"configmaps kubeadm-config kube-proxy: get"}, // in kube-system
		"Role podlane-events":         {"events: create"},                            // in default
	} {
		var rules []rbacv1.PolicyRule
		if strings.HasPrefix(name, "Role ") {
			rules = decode[rbacv1.Role](t, all, name).Rules
		} else {
			rules = decode[rbacv1.ClusterRole](t, all, name).Rules
		}
		var got []string
		for _, r := range rules {
			got = append(got, strings.Join(slices.Concat(r.Resources, r.ResourceNames), " ")+": "+strings.Join(r.Verbs, " "))
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
