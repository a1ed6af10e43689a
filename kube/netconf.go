package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/podlane/podlane/subnet"
)

// networkSources is where the network configuration comes from.
type networkSources struct {
	file       []byte // net-conf.json
	fileFault  string // why there is no file
	podSubnets string // kubeadm's networking.podSubnet: one prefix, or two with a comma; empty: there is none

	kubeadmFault string // why kubeadm's is not known
}

func (s networkSources) equal(t networkSources) bool {
	return bytes.Equal(s.file, t.file) && s.fileFault == t.fileFault && s.podSubnets == t.podSubnets && s.kubeadmFault == t.kubeadmFault
}

// complete reports whether the file was read, or is known to be unreadable.
func (s networkSources) complete() bool { return s.file != nil || s.fileFault != "" }

// needsKubeadm reports whether the file is valid and sets no network.
func (s networkSources) needsKubeadm() bool {
	var values map[string]json.RawMessage
	return s.fileFault == "" && json.Unmarshal(s.file, &values) == nil && values != nil && !setsNetwork(values)
}

func setsNetwork(values map[string]json.RawMessage) bool {
	return text(values, "Network") != "" || text(values, "IPv6Network") != ""
}

// compose returns the network configuration that podlaned receives, or why there is none. If the file has no network, kubeadm's
// pod subnets are filled in. own holds the podCIDRs of the own Node, and example those of a Node, as a hint in the fault.
//
// podlaned checks the configuration. So compose returns a file with another mistake without a change.
func (s networkSources) compose(own, example subnet.Pair) (config json.RawMessage, fault string) {
	var values map[string]json.RawMessage
	switch err := json.Unmarshal(s.file, &values); {
	case s.fileFault != "":
		return nil, s.fileFault
	case len(bytes.TrimSpace(s.file)) == 0:
		return nil, "the ConfigMap podlane-network has an empty net-conf.json"
	case !json.Valid(s.file):
		return nil, fmt.Sprintf("net-conf.json in the ConfigMap podlane-network is not JSON: %.200v", err)
	case err != nil || values == nil:
		return s.file, "" // an array, a string or null: podlaned reports that
	}
	if setsNetwork(values) {
		return s.file, ""
	}
	if s.podSubnets == "" {
		return nil, s.noNetwork(example)
	}
	network, err := parsePodSubnets(s.podSubnets)
	if err != nil {
		return nil, err.Error()
	}
	return fill(values, network, own), ""
}

// text returns the value of a key, or nothing. Keys match case-insensitively, as with flannel.
func text(values map[string]json.RawMessage, key string) (value string) {
	for k, raw := range values {
		if strings.EqualFold(k, key) && json.Unmarshal(raw, &value) != nil {
			return string(raw) // of another type: podlaned reports that
		}
	}
	return value
}

// noNetwork explains how to set the network.
func (s networkSources) noNetwork(example subnet.Pair) string {
	hint, why := "", "the cluster has no kubeadm configuration with a podSubnet"
	if s.kubeadmFault != "" {
		why = "kubeadm's configuration is not known (" + s.kubeadmFault + ")"
	}
	if !example.IsZero() {
		hint = fmt.Sprintf("; it must contain the podCIDRs of the Nodes, such as %s", example)
	}
	return fmt.Sprintf("no pod network is set: the ConfigMap podlane-network has no Network, and %s; set it with "+
		"`helm upgrade podlane dist/kubernetes/chart --namespace podlane --reuse-values --set network.Network=…`, "+
		"or in net-conf.json in podlane.yaml and `kubectl apply -f podlane.yaml`%s", why, hint)
}

// parsePodSubnets parses kubeadm's podSubnet: a prefix of each family at most.
func parsePodSubnets(podSubnets string) (pair subnet.Pair, err error) {
	for part := range strings.SplitSeq(podSubnets, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil || pair.Half(subnet.FamilyOf(p.Addr())).IsValid() {
			return subnet.Pair{}, fmt.Errorf("kubeadm's podSubnet %.100q is not one prefix, or one of each family: set Network in the ConfigMap podlane-network", podSubnets)
		}
		pair = pair.With(subnet.FamilyOf(p.Addr()), p.Masked())
	}
	return pair, nil
}

// fill adds the network to the configuration. It keeps what the file sets. It adds the length of the own Node's podCIDRs if that
// is not the default, and valid.
func fill(values map[string]json.RawMessage, network, own subnet.Pair) json.RawMessage {
	if network.IPv4.IsValid() {
		set(values, "Network", network.IPv4.String())
	} else {
		set(values, "EnableIPv4", false)
	}
	if network.IPv6.IsValid() {
		set(values, "EnableIPv6", true)
		set(values, "IPv6Network", network.IPv6.String())
	}
	for _, f := range subnet.Families {
		key, length := map[subnet.Family]string{subnet.IPv4: "SubnetLen", subnet.IPv6: "IPv6SubnetLen"}[f], own.Half(f).Bits()
		n, _, err := subnet.ParseNetwork(encodeConfig(values))
		if err != nil || length < 0 || has(values, key) || !n.Range(f).On() || n.Range(f).SubnetLen == length {
			continue
		}
		set(values, key, length)
		if _, _, err := subnet.ParseNetwork(encodeConfig(values)); err != nil {
			delete(values, key)
		}
	}
	return encodeConfig(values)
}

func has(values map[string]json.RawMessage, key string) bool {
	for k := range values {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// set sets a key that the file does not set, or sets to an empty value.
func set(values map[string]json.RawMessage, key string, value any) {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err) // it cannot fail: strings, numbers and booleans
	}
	for k := range values {
		if strings.EqualFold(k, key) && text(values, key) != "" {
			return
		} else if strings.EqualFold(k, key) {
			delete(values, k)
		}
	}
	values[key] = raw
}

func encodeConfig(values map[string]json.RawMessage) json.RawMessage {
	raw, err := json.Marshal(values) // with sorted keys, so it is the same each time
	if err != nil {
		panic(err) // it cannot fail: the values were parsed
	}
	return raw
}

// kubeadmPodSubnets returns networking.podSubnet of kubeadm's ClusterConfiguration.
func kubeadmPodSubnets(clusterConfiguration string) (string, error) {
	var c struct {
		Networking struct {
			PodSubnet string `json:"podSubnet"`
		} `json:"networking"`
	}
	if err := yaml.Unmarshal([]byte(clusterConfiguration), &c); err != nil {
		return "", fmt.Errorf("the ConfigMap kubeadm-config in kube-system is invalid: %.200w", err)
	}
	return c.Networking.PodSubnet, nil
}
