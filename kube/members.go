package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/annotation"
	"github.com/podlane/podlane/subnet/store"
)

// member is what podlane-kube keeps of a Node: about 500 bytes instead of 12 KB.
type member struct {
	created    int64       // in seconds since 1970
	pair       subnet.Pair // its podCIDRs; zero if they are invalid
	key, value string      // of its lease, as in store.SavedLease; empty: it announces none
	fault      string      // why its announcement cannot be used
	former     former      // the pod subnets that its pods use instead of its podCIDRs
}

// former is the lease of a Node that has got other podCIDRs while its pods use the old ones.
type former struct {
	pair       subnet.Pair // zero: there is none
	key, value string
}

// ownNode is what podlane-kube keeps of the Node of this node.
type ownNode struct {
	exists      bool
	uid         types.UID
	podCIDRs    []string
	annotations map[string]string // those of the pod network
}

// nodeSet holds the Nodes of the cluster.
type nodeSet struct {
	keys    annotation.Keys
	name    string            // of the own Node
	members map[string]member // by the Node's name
	own     ownNode
}

func newNodeSet(keys annotation.Keys, name string) nodeSet {
	return nodeSet{keys: keys, name: name, members: map[string]member{}}
}

// clone returns a copy that does not change.
func (s nodeSet) clone() nodeSet {
	s.members = maps.Clone(s.members)
	return s
}

// put adds or replaces a Node. It reports whether that changes what podlane-kube keeps.
func (s *nodeSet) put(n *corev1.Node) (changed bool) {
	name := strings.Clone(n.Name)
	m := memberOf(s.keys, n)
	changed = s.members[name] != m
	s.members[name] = m
	if name == s.name {
		own := ownNode{true, n.UID, slices.Clone(podCIDRsOf(n)), s.keys.Filter(n.Annotations)}
		changed = changed || !s.own.equal(own)
		s.own = own
	}
	return changed
}

func (o ownNode) equal(p ownNode) bool {
	return o.exists == p.exists && o.uid == p.uid && slices.Equal(o.podCIDRs, p.podCIDRs) && maps.Equal(o.annotations, p.annotations)
}

// remove removes a Node.
func (s *nodeSet) remove(name string) {
	delete(s.members, name)
	if name == s.name {
		s.own = ownNode{}
	}
}

// podCIDRsOf returns a Node's podCIDRs. An old API server sets only the field podCIDR.
func podCIDRsOf(n *corev1.Node) []string {
	if len(n.Spec.PodCIDRs) == 0 && n.Spec.PodCIDR != "" {
		return []string{n.Spec.PodCIDR}
	}
	return n.Spec.PodCIDRs
}

func memberOf(keys annotation.Keys, n *corev1.Node) (m member) {
	if !n.CreationTimestamp.IsZero() {
		m.created = n.CreationTimestamp.Unix()
	}
	podCIDRs := podCIDRsOf(n)
	if pair, err := annotation.ParsePodCIDRs(podCIDRs); err == nil {
		m.pair = pair
	}
	lease, announced, err := keys.Parse(podCIDRs, n.Annotations)
	switch {
	case err != nil:
		m.fault = err.Error()
	case announced:
		lease.Node = identity(lease.Node, n)
		m.key, m.value = lease.Pair().Key(), string(lease.Value())
	}
	if lease, used := keys.FormerSubnets(n.Annotations); used {
		lease.Node = identity(lease.Node, n)
		m.former = former{lease.Pair(), lease.Pair().Key(), string(lease.Value())}
	}
	return m
}

// identity returns the identity of the lease of a Node. Its name is always the Node's name, so a Node cannot announce itself as
// another one and replace its lease. flannel announces no identity.
func identity(announced subnet.Node, n *corev1.Node) subnet.Node {
	announced.Name = n.Name
	announced.ID = cmp.Or(announced.ID, string(n.UID))
	return announced
}

// accepts reports whether a Node may announce its former pod subnets. They must be in the pod network, and free: no other Node
// has or uses them. So no Node can announce the pod subnet of another Node.
func (s nodeSet) accepts(name string, network subnet.Network, all holders) bool {
	pair := s.members[name].former.pair
	return !pair.IsZero() && !slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		half := pair.Half(f)
		return half.IsValid() && !(subnet.Contains(network.Range(f).Prefix, half) && all.free(half, name))
	})
}

// leases composes the lease set that podlaned receives, without its revision and its configuration. network is the pod network.
func (s nodeSet) leases(network subnet.Network) channel.Leases {
	all := channel.Leases{Own: channel.Own{
		Exists:     s.own.exists,
		PodCIDRs:   s.own.podCIDRs,
		PublicIP:   s.own.annotations[s.keys.PublicIPOverwrite],
		PublicIPv6: s.own.annotations[s.keys.PublicIPv6Overwrite],
	}}
	held := newHolders(s.members)
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		switch m := s.members[name]; {
		case s.accepts(name, network, held):
			all.Leases = append(all.Leases, store.SavedLease{Key: m.former.key, Value: []byte(m.former.value), Created: m.created})
		case m.fault != "":
			all.Junk++
			if len(all.Skipped) < subnet.MaxSkips {
				all.Skipped = append(all.Skipped, subnet.Skip{Key: name, Reason: m.fault})
			}
		case m.key != "":
			all.Leases = append(all.Leases, store.SavedLease{Key: m.key, Value: []byte(m.value), Created: m.created})
		}
	}
	slices.SortStableFunc(all.Leases, func(a, b store.SavedLease) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Created, b.Created))
	})
	return all
}
