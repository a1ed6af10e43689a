package kubernetes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// podSubnets returns the pod subnets of a Node: its first podCIDR of each of these families. It ignores bits after the prefix, as
// flannel does.
func podSubnets(node string, podCIDRs []string, families []subnet.Family, network subnet.Network) (p subnet.Pair, err error) {
	if len(podCIDRs) == 0 {
		ranges := clusterCIDR(network)
		return p, fmt.Errorf("the Node %s has no podCIDR: start kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr=%s; kubeadm sets both with `kubeadm init --pod-network-cidr=%s`",
			node, ranges, ranges)
	}
	p, invalid, ok := subnet.FirstOfEachFamily(podCIDRs)
	if !ok {
		return subnet.Pair{}, fmt.Errorf("the podCIDR %.80q of the Node %s is not a prefix such as 10.5.34.0/24", invalid, node)
	}
	var wanted subnet.Pair
	for _, f := range families {
		if !p.Half(f).IsValid() {
			return subnet.Pair{}, fmt.Errorf("the Node %s has no %s podCIDR, and the pod network has %s: give kube-controller-manager --cluster-cidr=%s, or set Enable%s to false in the ConfigMap %s",
				node, f, network.Range(f).Prefix, clusterCIDR(network), f, ConfigMap)
		}
		wanted = wanted.With(f, p.Half(f))
	}
	return wanted, nil
}

// checkRange returns an error if the pod subnets of a Node are not in the pod network. Their length may differ from SubnetLen,
// because the controller decides it.
func checkRange(node string, p subnet.Pair, network subnet.Network) error {
	var errs []error
	for _, f := range subnet.Families {
		half := p.Half(f)
		if !half.IsValid() {
			continue
		}
		r := network.Range(f)
		switch {
		case !r.Prefix.Overlaps(half):
			errs = append(errs, fmt.Errorf("the podCIDR %s of the Node %s is outside the pod network %s: give kube-controller-manager --cluster-cidr=%s, or correct Network in the ConfigMap %s",
				half, node, r.Prefix, clusterCIDR(network), ConfigMap))
		case r.Unusable(half) != "":
			errs = append(errs, fmt.Errorf("the podCIDR of the Node %s cannot be used: %s; correct Network in the ConfigMap %s", node, r.Unusable(half), ConfigMap))
		}
	}
	return errors.Join(errs...)
}

// clusterCIDR returns the value of kube-controller-manager's --cluster-cidr for a pod network.
func clusterCIDR(network subnet.Network) string {
	var ranges []string
	for _, p := range network.Prefixes() {
		ranges = append(ranges, p.String())
	}
	return strings.Join(ranges, ",")
}

// familiesOf returns the families that a pair has.
func familiesOf(p subnet.Pair) (families []subnet.Family) {
	for _, f := range subnet.Families {
		if p.Half(f).IsValid() {
			families = append(families, f)
		}
	}
	return families
}

// familiesOfNetwork returns the families that a network has.
func familiesOfNetwork(n subnet.Network) (families []subnet.Family) {
	for _, f := range subnet.Families {
		if n.Range(f).On() {
			families = append(families, f)
		}
	}
	return families
}
