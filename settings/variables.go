package settings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// variablePrefix begins the name of every environment variable of a setting.
const variablePrefix = "PODLANE_"

// DaemonNames are the settings of podlaned, of all its commands. A test of podlaned compares them with its flags.
var DaemonNames = []string{
	"bridge-netfilter", "cni-bin", "cni-conf", "config",
	"etcd-cafile", "etcd-certfile", "etcd-endpoints", "etcd-keyfile", "etcd-password-file", "etcd-prefix", "etcd-username",
	"from", "http", "iface", "iface-can-reach", "iface-regex", "ip-masq", "json", "lease-ttl", "log-format", "log-level", "metrics",
	"network-file", "node-id", "node-name", "public-ip", "public-ipv6", "resync", "run-dir", "state-dir", "store", "to",
}

// KubeNames are the settings of podlane-kube, of all its commands. A test of podlane-kube compares them with its flags.
var KubeNames = []string{
	"annotation-prefix", "etcd-cafile", "etcd-certfile", "etcd-endpoints", "etcd-keyfile", "etcd-password-file", "etcd-prefix",
	"etcd-username", "grace", "kubeconfig", "network-file", "node-name", "run-dir", "store",
}

// serviceLink matches the variables that Kubernetes sets in a pod for a Service whose name begins with podlane. For podlane-etcd
// they are PODLANE_ETCD_SERVICE_HOST, PODLANE_ETCD_SERVICE_PORT_CLIENT, PODLANE_ETCD_PORT_2379_TCP_ADDR and more.
var serviceLink = regexp.MustCompile(`^PODLANE_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_.+)?)$`)

// UnknownVariables returns a sentence for each environment variable that begins with PODLANE_ and is not a setting, with the
// nearest known name. One environment serves podlaned and podlane-kube, so the settings of both are known.
func UnknownVariables(environ []string) (unknown []string) {
	known := map[string]bool{}
	for _, name := range slices.Concat(DaemonNames, KubeNames) {
		known[strings.TrimPrefix(Variable(name), variablePrefix)] = true
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		rest, ours := strings.CutPrefix(name, variablePrefix)
		if !ours || known[rest] || serviceLink.MatchString(name) {
			continue
		}
		text := fmt.Sprintf("the variable %.100q is not a setting, and has no effect", name)
		if other := nearest(slices.Sorted(maps.Keys(known)), rest); other != "" {
			text += fmt.Sprintf("; do you mean %s?", variablePrefix+other)
		}
		unknown = append(unknown, text)
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}
