// Package annotation reads and writes the leases of nodes as annotations of Kubernetes' Nodes. The keys and the values are
// flannel's, so podlane nodes and flannel nodes (kube-subnet-mgr) read each other. The annotations do not contain the pod
// subnet: it is the Node's podCIDR. FormerSubnets describes the one exception.
package annotation

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// DefaultPrefix is the default prefix of the keys, as in flannel.
const DefaultPrefix = "flannel.alpha.coreos.com"

// Keys holds the keys of the annotations.
type Keys struct {
	Member              string // "true": the node takes part in the pod network
	BackendType         string
	BackendData         string // JSON; absent without IPv4
	BackendV6Data       string // JSON; absent without IPv6
	PublicIP            string
	PublicIPv6          string
	PublicIPOverwrite   string // an operator writes it: the node announces this address as its PublicIP
	PublicIPv6Overwrite string
}

// validPrefix is a domain of at least two labels, a slash, and the beginning of a name or nothing. flannel accepts the same,
// except that it does not check the beginning of the domain.
var validPrefix = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?/([a-z0-9][a-z0-9._-]*-)?$`)

// Kubernetes' limits for the two parts of a key, in bytes.
const (
	maxDomain = 253
	maxName   = 63
)

// NewKeys returns the keys with a prefix: a domain, or a domain with the beginning of a name, like example.org/blue. Between
// such a beginning and the rest of the name there is a hyphen, as with flannel.
func NewKeys(prefix string) (Keys, error) {
	p := prefix
	if !strings.Contains(p, "/") {
		p += "/"
	}
	if !strings.HasSuffix(p, "/") && !strings.HasSuffix(p, "-") {
		p += "-"
	}
	k := Keys{
		Member:              p + "kube-subnet-manager",
		BackendType:         p + "backend-type",
		BackendData:         p + "backend-data",
		BackendV6Data:       p + "backend-v6-data",
		PublicIP:            p + "public-ip",
		PublicIPv6:          p + "public-ipv6",
		PublicIPOverwrite:   p + "public-ip-overwrite",
		PublicIPv6Overwrite: p + "public-ipv6-overwrite",
	}
	domain, name, _ := strings.Cut(k.PublicIPv6Overwrite, "/") // the longest name
	if !validPrefix.MatchString(p) || len(domain) > maxDomain || len(name) > maxName {
		return Keys{}, fmt.Errorf("%.80q is not a prefix of annotations: want a domain like %s, or a domain with the beginning of a name like example.org/blue",
			prefix, DefaultPrefix)
	}
	return k, nil
}

// written returns the keys that a node writes about itself.
func (k Keys) written() []string {
	return []string{k.Member, k.BackendType, k.BackendData, k.BackendV6Data, k.PublicIP, k.PublicIPv6}
}

// Filter returns the annotations that have one of the keys.
func (k Keys) Filter(annotations map[string]string) map[string]string {
	kept := map[string]string{}
	for _, key := range append(k.written(), k.PublicIPOverwrite, k.PublicIPv6Overwrite) {
		if value, found := annotations[key]; found {
			kept[key] = value
		}
	}
	return kept
}

// Parse returns the lease that a Node announces. member is false if the Node announces none. The error explains why an
// announcement is not usable.
//
// The lease has a half for each family that the Node announces and has a podCIDR of.
func (k Keys) Parse(podCIDRs []string, annotations map[string]string) (lease subnet.Lease, member bool, err error) {
	if annotations[k.Member] != "true" {
		return subnet.Lease{}, false, nil
	}
	pair, err := ParsePodCIDRs(podCIDRs)
	if err != nil {
		return subnet.Lease{}, true, err
	}
	if pair.IsZero() {
		return subnet.Lease{}, true, errors.New("the Node has no podCIDR")
	}
	a := k.announcement(annotations)
	if len(a.BackendData) > subnet.MaxValue || len(a.BackendV6Data) > subnet.MaxValue {
		return subnet.Lease{}, true, fmt.Errorf("backend-data has more than %d bytes", subnet.MaxValue)
	}
	announced := announced(a, pair)
	if announced.IsZero() {
		return subnet.Lease{}, true, fmt.Errorf("the annotations announce nothing for the podCIDR %s", pair)
	}
	lease, err = a.Lease(announced)
	return lease, true, err
}

func (k Keys) announcement(annotations map[string]string) subnet.Announcement {
	return subnet.Announcement{
		PublicIP:      annotations[k.PublicIP],
		PublicIPv6:    annotations[k.PublicIPv6],
		BackendType:   annotations[k.BackendType],
		BackendData:   []byte(annotations[k.BackendData]),
		BackendV6Data: []byte(annotations[k.BackendV6Data]),
	}
}

// announced returns the halves of a pair that an announcement has an address or data of. With VXLAN, flannel writes the backend's
// data and the address of a family together. Other backends have no data, or the text null. flannel does not remove the
// annotations of a family that was turned off.
func announced(a subnet.Announcement, pair subnet.Pair) subnet.Pair {
	has := func(address string, data []byte) bool {
		if a.BackendType == subnet.BackendVXLAN {
			return len(data) > 0 && string(data) != "null"
		}
		return address != "" && address != "0.0.0.0" && address != "::"
	}
	if !has(a.PublicIP, a.BackendData) {
		pair.IPv4 = netip.Prefix{}
	}
	if !has(a.PublicIPv6, a.BackendV6Data) {
		pair.IPv6 = netip.Prefix{}
	}
	return pair
}

// Annotations returns the annotations that announce a lease of a Node with these podCIDRs.
func (k Keys) Annotations(l subnet.Lease, podCIDRs subnet.Pair) map[string]string {
	a := l.Announcement()
	if usesOtherSubnets(l.Pair(), podCIDRs) {
		a = withField(a, subnetsField, l.Pair().Key())
	}
	a = withDigest(a)
	all := map[string]string{
		k.Member:        "true",
		k.BackendType:   a.BackendType,
		k.BackendData:   string(a.BackendData),
		k.BackendV6Data: string(a.BackendV6Data),
		k.PublicIP:      a.PublicIP,
		k.PublicIPv6:    a.PublicIPv6,
	}
	for key, value := range all {
		if value == "" {
			delete(all, key)
		}
	}
	return all
}

// subnetsField is a field of the backend's data. It holds the pod subnets in use if the Node has got other podCIDRs. flannel
// ignores it.
const subnetsField = "Subnets"

// usesOtherSubnets reports whether a lease has a pod subnet that is not a podCIDR of its Node.
func usesOtherSubnets(lease, podCIDRs subnet.Pair) bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		return lease.Half(f).IsValid() && lease.Half(f) != podCIDRs.Half(f)
	})
}

// FormerSubnets returns the lease of a Node whose pods use other pod subnets than its podCIDRs. The node has announced these pod
// subnets in the field Subnets. The caller decides whether they are free.
func (k Keys) FormerSubnets(annotations map[string]string) (subnet.Lease, bool) {
	a := k.announcement(annotations)
	if annotations[k.Member] != "true" || len(a.BackendData) > subnet.MaxValue || len(a.BackendV6Data) > subnet.MaxValue {
		return subnet.Lease{}, false
	}
	for _, data := range [][]byte{a.BackendData, a.BackendV6Data} {
		var field struct{ Subnets string }
		if json.Unmarshal(data, &field) != nil || field.Subnets == "" {
			continue
		}
		pair, err := subnet.ParseKey(field.Subnets)
		if err != nil {
			return subnet.Lease{}, false
		}
		lease, err := a.Lease(pair)
		return lease, err == nil
	}
	return subnet.Lease{}, false
}

// withDigest adds a digest of the whole announcement to the data of both families. In a dual-stack network, flannel notices a
// change of a Node only if texts of both families change.
func withDigest(a subnet.Announcement) subnet.Announcement {
	if len(a.BackendData) == 0 || len(a.BackendV6Data) == 0 {
		return a
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s", a.BackendData, a.BackendV6Data, a.PublicIP, a.PublicIPv6))
	return withField(a, "Digest", fmt.Sprintf("%x", sum[:8]))
}

// withField adds a field to the data of each family that has some. The value needs no escape in JSON.
func withField(a subnet.Announcement, name, value string) subnet.Announcement {
	for _, data := range []*[]byte{&a.BackendData, &a.BackendV6Data} {
		if object, found := bytes.CutSuffix(*data, []byte("}")); found {
			*data = fmt.Appendf(nil, `%s,"%s":"%s"}`, object, name, value)
		}
	}
	return a
}

// Changes returns what to write so that a Node with some annotations and podCIDRs announces a lease. A nil value removes the
// annotation: a family that is off must not be announced. Changes contains only annotations that a node writes about itself.
func (k Keys) Changes(have map[string]string, l subnet.Lease, podCIDRs subnet.Pair) map[string]*string {
	want, changes := k.Annotations(l, podCIDRs), map[string]*string{}
	for _, key := range k.written() {
		value, wanted := want[key]
		old, exists := have[key]
		switch {
		case wanted && (!exists || old != value):
			changes[key] = &value
		case !wanted && exists:
			changes[key] = nil
		}
	}
	return changes
}

// ParsePodCIDRs returns a Node's pod subnets: the first podCIDR of each family. It ignores bits after the prefix, as flannel does.
func ParsePodCIDRs(podCIDRs []string) (subnet.Pair, error) {
	pair, invalid, ok := subnet.FirstOfEachFamily(podCIDRs)
	if !ok {
		return subnet.Pair{}, fmt.Errorf("podCIDR %.60q is not a prefix like 10.244.1.0/24", invalid)
	}
	return pair, nil
}
