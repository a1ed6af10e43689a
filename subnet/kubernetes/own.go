package kubernetes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/podlane/podlane/subnet"
)

// ownLease holds this node's lease. The pods' network depends on it, so a run never changes its pod subnets.
type ownLease struct {
	lease     subnet.Lease // zero: none yet
	announced subnet.Lease // what the other nodes should know; zero: nothing yet
	conflict  string       // why no more pods should be attached
	err       error        // why there is no lease, or why it is not announced
	warnings  []string
}

// decide finds the own lease after a change.
func (m *machine) decide() {
	if m.set.Revision == 0 || m.config.raw == nil {
		return
	}
	m.own.conflict, m.own.err, m.own.warnings = "", nil, nil
	name, noLease := m.self.Node.Name, m.own.lease == (subnet.Lease{})
	if noLease && m.opts.Check != nil {
		if m.own.err = m.opts.Check(m.config.network); m.own.err != nil {
			return
		}
	}
	if !m.node.Exists {
		m.own.err = m.missingNodeError()
		m.keepUsedSubnets()
		return
	}
	families := familiesOfNetwork(m.config.network)
	if !noLease { // a family that was turned on or off is for the next start
		families = familiesOf(m.own.lease.Pair())
	}
	pair, err := podSubnets(name, m.node.PodCIDRs, families, m.config.network)
	if err == nil && noLease {
		err = checkRange(name, pair, m.config.network)
	}
	if err != nil {
		m.own.err = err
		m.keepUsedSubnets()
		return
	}
	if used := m.usedPair(); pairsDiffer(used, pair) {
		m.own.conflict = fmt.Sprintf("the Node %s has the podCIDR %s, but its pods use %s: drain the node, and reboot it", name, pair, used)
		m.keepUsedSubnets()
		return
	}
	m.adopt(pair)
}

// adopt makes pod subnets of the Node the own lease.
func (m *machine) adopt(pair subnet.Pair) {
	self, warnings := overwrite(m.self, m.node, m.config.network)
	lease := m.leaseOf(self, pair)
	m.own.warnings = warnings
	if err := checkLease(lease); err != nil {
		m.own.err = fmt.Errorf("this node's own lease would not be valid: %w", err)
		return
	}
	if err := checkRange(m.self.Node.Name, pair, m.config.network); err != nil {
		m.own.warnings = append(m.own.warnings, fmt.Sprintf("pod subnet %s is not in the changed network configuration: the node keeps it until podlaned is restarted or reloaded", pair))
	}
	if m.node.Fault != "" {
		m.own.err = errors.New("this node is not announced to the other nodes: " + m.node.Fault)
	}
	m.own.announced = lease
	if text, older := m.overlappingNode(self, pair); older {
		m.own.conflict = text
	} else if text != "" && m.own.err == nil {
		m.own.err = errors.New(text)
	}
	if m.own.conflict == "" || m.hadBefore(pair) {
		m.own.lease = lease
	}
}

// hadBefore reports whether this node has had the pod subnets before. If it has not, no pod uses them: while another Node has
// them too, the node announces them and does not use them.
func (m *machine) hadBefore(pair subnet.Pair) bool {
	return m.usedPair() == pair || m.opts.Saved != nil && m.opts.Saved.Own == pair.Key()
}

// leaseOf returns the lease of this node for pod subnets.
func (m *machine) leaseOf(self subnet.Self, pair subnet.Pair) subnet.Lease {
	network := m.config.network
	if own := m.own.lease; own != (subnet.Lease{}) { // the device keeps its VNI until podlaned is restarted
		network.VXLAN.VNI = max(own.IPv4.VNI, own.IPv6.VNI)
	}
	return self.Lease(network, pair, m.formerLease(self, pair))
}

// checkLease returns why the other nodes would not accept a lease.
func checkLease(l subnet.Lease) error {
	_, err := subnet.ParseLease(l.Pair().Key(), l.Value())
	return err
}

// keepUsedSubnets makes the pod subnets that pods use the own lease, although the Node does not have them now. They are
// announced, so that the pods are reached after a restart of podlaned, and at a changed address, too.
func (m *machine) keepUsedSubnets() {
	used, none := m.usedPair(), m.own.lease == (subnet.Lease{})
	if used.IsZero() || none && checkRange(m.self.Node.Name, used, m.config.network) != nil {
		return
	}
	self, _ := overwrite(m.self, m.node, m.config.network)
	if lease := m.leaseOf(self, used); checkLease(lease) == nil {
		m.own.lease, m.own.announced = lease, lease
	}
}

// usedPair returns the pod subnets that pods use, or none.
func (m *machine) usedPair() subnet.Pair {
	if own := m.own.lease.Pair(); !own.IsZero() {
		return own
	}
	if m.self.InUse {
		return m.self.Previous
	}
	return subnet.Pair{}
}

// pairsDiffer reports whether two pairs have different pod subnets in a family that both have.
func pairsDiffer(a, b subnet.Pair) bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		x, y := a.Half(f), b.Half(f)
		return x.IsValid() && y.IsValid() && x != y
	})
}

// formerLease returns the lease whose MACs stay, because peers know them: of this run, of the Node's annotations, or saved.
func (m *machine) formerLease(self subnet.Self, pair subnet.Pair) subnet.Lease {
	if m.own.lease.Pair() == pair {
		return m.own.lease
	}
	if i := m.recordIndex(self, pair); i >= 0 && !m.sharesMAC(i) {
		return m.set.Records[i].Lease
	}
	if m.opts.Saved == nil {
		return subnet.Lease{}
	}
	saved, _ := m.opts.Saved.Lease()
	return saved
}

// sharesMAC reports whether another Node announces a MAC of a record too. The own Node's annotations have such a MAC if they were
// written while the Node had that one's podCIDR.
func (m *machine) sharesMAC(own int) bool {
	l := m.set.Records[own].Lease
	for i := range m.set.Records {
		for _, f := range subnet.Families {
			if mac := l.Endpoint(f).MAC; i != own && !mac.IsZero() && m.set.Records[i].Endpoint(f).MAC == mac {
				return true
			}
		}
	}
	return false
}

// recordIndex returns the index of the own Node's record; -1: it has none. flannel writes no node name, so its record is ours
// if it has our public address.
func (m *machine) recordIndex(self subnet.Self, pair subnet.Pair) int {
	return slices.IndexFunc(m.set.Records, func(r subnet.Record) bool {
		return r.Pair() == pair && (r.Node.Name == self.Node.Name && self.Node.Name != "" || self.Ours(r.Lease))
	})
}

// overlappingNode returns a text if another Node has an overlapping podCIDR. older reports whether that Node may be the older
// one, which keeps the pod subnet (subnet.Screen). So a Node that is registered with the podCIDR of others cannot stop them: a
// kubelet chooses the podCIDR of a new Node.
func (m *machine) overlappingNode(self subnet.Self, pair subnet.Pair) (text string, older bool) {
	own := m.recordIndex(self, pair)
	for i := range m.set.Records {
		r := &m.set.Records[i]
		if i == own || !m.collides(r.Pair(), pair) {
			continue
		}
		text = fmt.Sprintf("the podCIDR %s of the Node %s overlaps that of another Node, %s: only one controller may assign podCIDRs; stop the other one, then delete and register one of the two Nodes again",
			pair, self.Node.Name, r.Lease)
		if own < 0 || r.Created <= m.set.Records[own].Created {
			return text, true
		}
	}
	return text, false
}

// collides reports whether another Node's pod subnets overlap with some of this node. One that no node can use is skipped by all
// nodes, so it does not count: 10.0.0.0/8 on one Node would stop all others.
func (m *machine) collides(other, pair subnet.Pair) bool {
	return slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		half := other.Half(f)
		return half.Overlaps(pair.Half(f)) && m.config.network.Range(f).Unusable(half) == ""
	})
}

// held reports whether the Node's annotations had the own lease when they were last read.
func (m *machine) held() bool {
	own := m.own.lease
	if own == (subnet.Lease{}) || m.own.conflict != "" || !m.node.Exists {
		return false
	}
	return slices.ContainsFunc(m.set.Records, func(r subnet.Record) bool { return r.Lease == own })
}

// missingNodeError returns the error of a node without a Node.
func (m *machine) missingNodeError() error {
	name := m.self.Node.Name
	if used := m.usedPair(); !used.IsZero() {
		return fmt.Errorf("the Node %s was deleted or renamed: its pods keep %s; restart kubelet, which registers it again", name, used)
	}
	if m.opts.Saved != nil && m.opts.Saved.Own != "" {
		return fmt.Errorf("the Node %s was deleted or renamed: restart kubelet, which registers it again", name)
	}
	return fmt.Errorf("there is no Node %s: register it, or set node-name to the name of this node's Node; `kubectl get nodes` lists them", name)
}
