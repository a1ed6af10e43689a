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
		known[Variable(name)] = true
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, variablePrefix) || known[name] || serviceLink.MatchString(name) {
			continue
		}
		text := fmt.Sprintf("the variable %.100q is not a setting, and has no effect", name)
		if other := nearestVariable(slices.Sorted(maps.Keys(known)), name); other != "" {
			text += fmt.Sprintf("; do you mean %s?", other)
		}
		unknown = append(unknown, text)
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// nearestVariable returns the known variable that an unknown one probably means, or nothing. It is the only one that begins with
// the unknown name. Otherwise it is the one with the fewest edits. Half of the letters may differ.
func nearestVariable(known []string, name string) (nearest string) {
	name = name[:min(len(name), 100)]
	longer := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, name) })
	if len(longer) == 1 {
		return longer[0]
	}
	fewest := (len(name)-len(variablePrefix))/2 + 1
	for _, k := range known {
		if n := edits(k, name); n < fewest {
			nearest, fewest = k, n
		}
	}
	return nearest
}

// edits returns how many letters must be inserted, deleted or replaced to make one text of another (Levenshtein's distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1) // the distance of the beginning of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, replaced)
		}
	}
	return row[len(b)]
}
