package kubernetes

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestOwnLeaseIsThePodCIDROfTheNode(t *testing.T) {
	for name, row := range map[string]struct {
		config   string
		podCIDRs []string
		want     string
	}{
		"IPv4":                              {ipv4Config, []string{"10.5.2.0/24"}, "10.5.2.0-24"},
		"dual-stack":                        {dualConfig, []string{"10.5.2.0/24", "fd00:5:0:2::/64"}, "10.5.2.0-24&fd00:5:0:2::-64"},
		"dual-stack, IPv6 first":            {dualConfig, []string{"fd00:5:0:2::/64", "10.5.2.0/24"}, "10.5.2.0-24&fd00:5:0:2::-64"},
		"the network has no IPv6":           {ipv4Config, []string{"10.5.2.0/24", "fd00:5:0:2::/64"}, "10.5.2.0-24"},
		"IPv6 alone":                        {`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`, []string{"fd00:5:0:2::/64"}, "0.0.0.0-0&fd00:5:0:2::-64"},
		"another length than SubnetLen":     {ipv4Config, []string{"10.5.2.0/26"}, "10.5.2.0-26"},
		"the first subnet of the network":   {ipv4Config, []string{"10.5.0.0/24"}, "10.5.0.0-24"},
		"outside SubnetMin and SubnetMax":   {`{"Network":"10.5.0.0/16","SubnetMin":"10.5.10.0","SubnetMax":"10.5.20.0"}`, []string{"10.5.2.0/24"}, "10.5.2.0-24"},
		"the first of two of the family":    {ipv4Config, []string{"10.5.2.0/24", "10.5.3.0/24"}, "10.5.2.0-24"},
		"bits after the prefix":             {ipv4Config, []string{"10.5.2.7/24"}, "10.5.2.0-24"},
		"a family that is off, and outside": {ipv4Config, []string{"10.5.2.0/24", "2001:db8::/64"}, "10.5.2.0-24"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := message(7, row.podCIDRs, announced(t, 1, "10.5.1.0-24"))
			m.Config = []byte(row.config)
			st := w.send(m)
			if st.Own.Pair() != pair(t, row.want) || st.Err != nil || st.Conflict != "" || st.Held {
				t.Fatalf("own lease %s, held %v, error %v, conflict %q", st.Own, st.Held, st.Err, st.Conflict)
			}
			a, _ := w.announcement()
			if got, err := subnet.ParseLease(a.Lease.Key, a.Lease.Value); err != nil || got != st.Own || a.Lease.Key != row.want {
				t.Errorf("announced %s %s: %v", a.Lease.Key, a.Lease.Value, err)
			}
			if st = w.echo(m); !st.Held || !st.Expiry.IsZero() || st.Set.Revision != 8 {
				t.Errorf("announced: held %v, expiry %v, revision %d", st.Held, st.Expiry, st.Set.Revision)
			}
		})
	}
}

// In each of these cases a node gets no lease. One sentence names the Node and what to do.
func TestNodeGetsNoLease(t *testing.T) {
	cidrs := func(cidrs ...string) *channel.Leases { return message(7, cidrs) }
	change := func(do func(*channel.Leases)) *channel.Leases {
		m := message(7, []string{"10.5.2.0/24"})
		do(m)
		return m
	}
	for name, row := range map[string]struct {
		message *channel.Leases
		want    string
	}{
		"no podCIDR": {cidrs(), "the Node n2 has no podCIDR: start kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr=10.5.0.0/16; kubeadm sets both with `kubeadm init --pod-network-cidr=10.5.0.0/16`"},
		"no podCIDR, dual-stack": {change(func(m *channel.Leases) { m.Config, m.Own.PodCIDRs = []byte(dualConfig), nil }),
			"the Node n2 has no podCIDR: start kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr=10.5.0.0/16,fd00:5::/48; kubeadm sets both with `kubeadm init --pod-network-cidr=10.5.0.0/16,fd00:5::/48`"},
		"outside the network":     {cidrs("10.9.2.0/24"), "the podCIDR 10.9.2.0/24 of the Node n2 is outside the pod network 10.5.0.0/16: give kube-controller-manager --cluster-cidr=10.5.0.0/16, or correct Network in the ConfigMap podlane-network"},
		"larger than the network": {cidrs("10.0.0.0/8"), "the podCIDR of the Node n2 cannot be used: pod subnet 10.0.0.0/8 is outside the pod network 10.5.0.0/16; correct Network in the ConfigMap podlane-network"},
		"the whole network":       {cidrs("10.5.0.0/16"), "the podCIDR of the Node n2 cannot be used: pod subnet 10.5.0.0/16 is too large for the pod network 10.5.0.0/16: /18 is the largest; correct Network in the ConfigMap podlane-network"},
		"no IPv6 podCIDR": {change(func(m *channel.Leases) { m.Config = []byte(dualConfig) }),
			"the Node n2 has no IPv6 podCIDR, and the pod network has fd00:5::/48: give kube-controller-manager --cluster-cidr=10.5.0.0/16,fd00:5::/48, or set EnableIPv6 to false in the ConfigMap podlane-network"},
		"no IPv4 podCIDR": {cidrs("fd00:5:0:2::/64"), "the Node n2 has no IPv4 podCIDR, and the pod network has 10.5.0.0/16: give kube-controller-manager --cluster-cidr=10.5.0.0/16, or set EnableIPv4 to false in the ConfigMap podlane-network"},
		"not a prefix":    {cidrs("10.5.2.0"), `the podCIDR "10.5.2.0" of the Node n2 is not a prefix such as 10.5.34.0/24`},
		"no Node":         {change(func(m *channel.Leases) { m.Own = channel.Own{} }), "there is no Node n2: register it, or set node-name to the name of this node's Node; `kubectl get nodes` lists them"},
		"no configuration": {change(func(m *channel.Leases) { m.Config = nil }),
			"podlane-kube has sent no network configuration"},
		"a fault of the configuration": {change(func(m *channel.Leases) { m.Config, m.Fault = nil, "the ConfigMap podlane-network has no net-conf.json" }),
			"the ConfigMap podlane-network has no net-conf.json"},
		"a configuration that is not JSON": {change(func(m *channel.Leases) { m.Config = []byte(`"Network: 10.5.0.0/16"`) }),
			"the ConfigMap podlane-network is not valid: network configuration: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			st := w.send(row.message)
			if !strings.HasPrefix(text(st.Err), row.want) || st.Own != (subnet.Lease{}) || st.Conflict != "" {
				t.Errorf("own lease %s, conflict %q, error\n%v, want\n%s", st.Own, st.Conflict, st.Err, row.want)
			}
			if _, found := w.announcement(); found {
				t.Error("it announces a lease")
			}
			if st = w.send(message(8, []string{"10.5.2.0/24"})); st.Err != nil || st.Own.Pair() != pair(t, "10.5.2.0-24") {
				t.Errorf("corrected: own lease %s, error %v", st.Own, st.Err)
			}
		})
	}
}

func TestNodeCannotJoinTheNetwork(t *testing.T) {
	fault := errors.New("the underlay overlaps the pod network")
	w := newWorld(t, func(o *Options) { o.Check = func(subnet.Network) error { return fault } })
	if st := w.send(message(7, []string{"10.5.2.0/24"})); !errors.Is(st.Err, fault) || st.Own != (subnet.Lease{}) {
		t.Errorf("own lease %s, error %v", st.Own, st.Err)
	}
	fault = nil
	if st := w.send(message(8, []string{"10.5.2.0/24"})); st.Err != nil || st.Own == (subnet.Lease{}) {
		t.Errorf("own lease %s, error %v", st.Own, st.Err)
	}
	w = newWorld(t, func(o *Options) { o.Self.PublicIP = netip.Addr{} })
	if st := w.send(message(7, []string{"10.5.2.0/24"})); text(st.Err) != "this node's own lease would not be valid: PublicIP is zero or missing" {
		t.Errorf("no address: %v", st.Err)
	}
}

// The pods keep their pod subnet, and the conflict names what to do. The pod subnet is announced, not the Node's new podCIDR.
func TestPodCIDRDiffersFromPodSubnetInUse(t *testing.T) {
	const want = "the Node n2 has the podCIDR 10.5.9.0/24, but its pods use 10.5.2.0/24: drain the node, and reboot it"
	inUse := func(o *Options) { o.Self.Previous, o.Self.InUse = pair(t, "10.5.2.0-24"), true }
	changed := message(9, []string{"10.5.9.0/24"})
	t.Run("before the start", func(t *testing.T) {
		w := newWorld(t, inUse)
		st := w.send(changed)
		if st.Conflict != want || st.Own.Pair() != pair(t, "10.5.2.0-24") || st.Held || st.Err != nil {
			t.Errorf("own lease %s, held %v, error %v, conflict %q", st.Own, st.Held, st.Err, st.Conflict)
		}
		if a, found := w.announcement(); !found || a.Lease.Key != "10.5.2.0-24" {
			t.Errorf("announced %q, want the pod subnet in use", a.Lease.Key)
		}
	})
	t.Run("after a reboot", func(t *testing.T) { // no pod uses the old pod subnet
		w := newWorld(t, func(o *Options) {
			o.Self.Previous, o.Saved = pair(t, "10.5.2.0-24"), &store.Saved{Revision: 7, Own: "10.5.2.0-24"}
		})
		if st := w.send(changed); st.Conflict != "" || st.Err != nil || st.Own.Pair() != pair(t, "10.5.9.0-24") {
			t.Errorf("own lease %s, error %v, conflict %q", st.Own, st.Err, st.Conflict)
		}
	})
	t.Run("while it runs", func(t *testing.T) {
		w := newWorld(t)
		before := message(7, []string{"10.5.2.0/24"})
		w.send(before)
		own := w.echo(before).Own
		st := w.send(changed)
		if st.Conflict != want || st.Own != own || st.Held {
			t.Errorf("own lease %s, held %v, conflict %q", st.Own, st.Held, st.Conflict)
		}
		moved := self(2)
		moved.PublicIP = netip.MustParseAddr("192.168.0.22")
		w.setSelf(moved)
		if a, _ := w.announcement(); a.Lease.Key != "10.5.2.0-24" || !strings.Contains(string(a.Lease.Value), "192.168.0.22") {
			t.Errorf("the address changes: announced %s %s", a.Lease.Key, a.Lease.Value)
		}
		w.setSelf(self(2))
		before.Revision = 20
		if st = w.echo(before); st.Conflict != "" || !st.Held || st.Own != own {
			t.Errorf("corrected: own lease %s, held %v, conflict %q", st.Own, st.Held, st.Conflict)
		}
	})
	t.Run("no pods use the former one", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Self.Previous = pair(t, "10.5.2.0-24") })
		if st := w.send(changed); st.Conflict != "" || st.Own.Pair() != pair(t, "10.5.9.0-24") {
			t.Errorf("own lease %s, conflict %q", st.Own, st.Conflict)
		}
	})
	t.Run("the node gets IPv6 too", func(t *testing.T) {
		w := newWorld(t, inUse)
		m := message(9, []string{"10.5.2.0/24", "fd00:5:0:2::/64"})
		m.Config = []byte(dualConfig)
		if st := w.send(m); st.Conflict != "" || st.Own.Pair() != pair(t, "10.5.2.0-24&fd00:5:0:2::-64") {
			t.Errorf("own lease %s, conflict %q", st.Own, st.Conflict)
		}
	})
}

// Two controllers assign podCIDRs. The conflict names the other Node. The own lease is announced, so the other node sees it too.
func TestAnotherNodeHasThePodCIDR(t *testing.T) {
	const (
		begin = "the podCIDR 10.5.2.0/24 of the Node n2 overlaps that of another Node, "
		end   = ": only one controller may assign podCIDRs; stop the other one, then delete and register one of the two Nodes again"
	)
	for name, row := range map[string]struct {
		other subnet.Lease
		want  string
	}{
		"the same":     {announced(t, 3, "10.5.2.0-24"), "10.5.2.0/24 of n3 (192.168.0.3)"},
		"a larger one": {announced(t, 3, "10.5.2.0-23"), "10.5.2.0/23 of n3 (192.168.0.3)"},
		"in ours":      {announced(t, 3, "10.5.2.128-25"), "10.5.2.128/25 of n3 (192.168.0.3)"},
		"of flannel":   {flannels(t, 3, "10.5.2.0-24"), "10.5.2.0/24 of 192.168.0.3"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.send(message(6, []string{"10.5.2.0/24"}))
			m := message(7, []string{"10.5.2.0/24"}, row.other)
			for _, st := range []string{w.send(m).Conflict, w.echo(m).Conflict} {
				if st != begin+row.want+end {
					t.Errorf("conflict %q", st)
				}
			}
			st := w.state(w.now)
			if st.Held || st.Own.Pair() != pair(t, "10.5.2.0-24") || st.Own.IPv4.MAC == row.other.IPv4.MAC && name == "of flannel" {
				t.Errorf("own lease %s, held %v", st.Own, st.Held)
			}
			m.Leases = nil
			if st = w.echo(m); st.Conflict != "" || !st.Held {
				t.Errorf("the other Node is deleted: conflict %q, held %v", st.Conflict, st.Held)
			}
		})
	}
}

// No node uses a podCIDR that is too large for the pod network. So another Node with one does not stop this node.
func TestAnotherNodeHasAnUnusablePodCIDR(t *testing.T) {
	for _, key := range []string{"10.5.0.0-16", "10.5.0.0-17", "10.0.0.0-8", "0.0.0.0-1", "10.5.2.0-24&fd00::-8"} {
		config := ipv4Config
		cidrs := []string{"10.5.9.0/24"}
		if strings.Contains(key, "&") {
			config, cidrs = dualConfig, append(cidrs, "fd00:5:0:2::/64")
		}
		m := message(7, cidrs, announced(t, 3, key))
		m.Config = []byte(config)
		w := newWorld(t)
		w.send(m)
		if st := w.echo(m); st.Conflict != "" || st.Err != nil || !st.Held {
			t.Errorf("%s: own lease %s, held %v, conflict %q, error %v", key, st.Own, st.Held, st.Conflict, st.Err)
		}
	}
}

// At a first start no pod uses the podCIDR. So the node does not use it while another Node has it, and takes the next one.
func TestAnotherNodeHasThePodCIDRAtTheFirstStart(t *testing.T) {
	w := newWorld(t)
	st := w.send(message(7, []string{"10.5.1.0/24"}, announced(t, 1, "10.5.1.0-24")))
	if !strings.Contains(st.Conflict, "overlaps that of another Node, 10.5.1.0/24 of n1") || st.Own != (subnet.Lease{}) || st.Held {
		t.Errorf("own lease %s, held %v, conflict %q", st.Own, st.Held, st.Conflict)
	}
	stale := announced(t, 2, "10.5.2.0-24") // podlane-kube has not written the new announcement yet
	stale.IPv4.MAC = announced(t, 1, "10.5.1.0-24").IPv4.MAC
	m := message(8, []string{"10.5.2.0/24"}, announced(t, 1, "10.5.1.0-24"))
	w.send(message(8, []string{"10.5.2.0/24"}, announced(t, 1, "10.5.1.0-24"), stale))
	if st = w.echo(m); st.Conflict != "" || st.Own != announced(t, 2, "10.5.2.0-24") || !st.Held {
		t.Errorf("with its own podCIDR: own lease %s, held %v, conflict %q", st.Own, st.Held, st.Conflict)
	}
	for name, change := range map[string]func(*Options){
		"pods use it":    func(o *Options) { o.Self.Previous, o.Self.InUse = pair(t, "10.5.1.0-24"), true },
		"after a reboot": func(o *Options) { o.Saved = savedState(5, announced(t, 2, "10.5.1.0-24")) },
	} {
		w := newWorld(t, change)
		if st := w.send(message(7, []string{"10.5.1.0/24"}, announced(t, 1, "10.5.1.0-24"))); st.Conflict == "" || st.Own.Pair() != pair(t, "10.5.1.0-24") {
			t.Errorf("%s: own lease %s, conflict %q", name, st.Own, st.Conflict)
		}
	}
}

// Another Node gets the podCIDR later. The peers use the older one, and so does the node. The error has the reason.
func TestNewNodeHasThePodCIDR(t *testing.T) {
	w := newWorld(t)
	before := message(7, []string{"10.5.2.0/24"})
	w.send(before)
	w.echo(before)
	m := message(9, []string{"10.5.2.0/24"}, announced(t, 2, "10.5.2.0-24"), announced(t, 3, "10.5.2.0-23"))
	st := w.send(m)
	const want = "the podCIDR 10.5.2.0/24 of the Node n2 overlaps that of another Node, 10.5.2.0/23 of n3 (192.168.0.3): "
	if st.Conflict != "" || !st.Held || !strings.HasPrefix(text(st.Err), want) {
		t.Errorf("held %v, conflict %q, error %v", st.Held, st.Conflict, st.Err)
	}
	older := *m
	older.Leases = wire(announced(t, 3, "10.5.2.0-23"), announced(t, 2, "10.5.2.0-24"))
	if st = w.send(&older); !strings.HasPrefix(st.Conflict, want) || st.Held {
		t.Errorf("the other Node is older: held %v, conflict %q, error %v", st.Held, st.Conflict, st.Err)
	}
}

func TestOwnNodeIsDeleted(t *testing.T) {
	const want = "the Node n2 was deleted or renamed: its pods keep 10.5.2.0/24; restart kubelet, which registers it again"
	w := newWorld(t)
	m := message(7, []string{"10.5.2.0/24"}, announced(t, 1, "10.5.1.0-24"))
	w.send(m)
	own := w.echo(m).Own
	gone := message(9, nil, announced(t, 1, "10.5.1.0-24"))
	gone.Own = channel.Own{}
	st := w.send(gone)
	if text(st.Err) != want || st.Own != own || st.Held || st.Losses != 0 || st.Conflict != "" {
		t.Errorf("own lease %s, held %v, losses %d, conflict %q, error\n%v", st.Own, st.Held, st.Losses, st.Conflict, st.Err)
	}
	m.Revision = 10
	if w.send(m).Held {
		t.Error("it is registered again, without annotations: held")
	}
	if st = w.echo(m); !st.Held || st.Err != nil || st.Own != own {
		t.Errorf("it is announced again: own lease %s, held %v, error %v", st.Own, st.Held, st.Err)
	}
	w = newWorld(t, func(o *Options) { o.Self.Previous, o.Self.InUse = pair(t, "10.5.2.0-24"), true })
	if st = w.send(gone); text(st.Err) != want || st.Own.Pair() != own.Pair() || st.Held {
		t.Errorf("deleted while podlaned was down: own lease %s, held %v, error %v", st.Own, st.Held, st.Err)
	}
	w = newWorld(t, func(o *Options) { o.Saved = savedState(5, own) })
	if st = w.send(gone); text(st.Err) != "the Node n2 was deleted or renamed: restart kubelet, which registers it again" || st.Own != (subnet.Lease{}) {
		t.Errorf("deleted before a reboot: own lease %s, error %v", st.Own, st.Err)
	}
}

// Peers know the MACs of a node's devices. They stay the same after a reboot, and after flannel was replaced.
func TestOwnLeaseKeepsItsMACs(t *testing.T) {
	kept := announced(t, 2, "10.5.2.0-24")
	kept.IPv4.MAC = subnet.MAC{2, 0, 0, 0, 9, 9}
	for name, row := range map[string]struct {
		saved  []subnet.Lease
		listed subnet.Lease
		want   subnet.MAC
	}{
		"of the annotations":        {nil, kept, kept.IPv4.MAC},
		"of flannel":                {nil, flannels(t, 2, "10.5.2.0-24"), subnet.MAC{2, 0, 0, 0, 0, 2}},
		"saved":                     {[]subnet.Lease{kept}, announced(t, 1, "10.5.1.0-24"), kept.IPv4.MAC},
		"of another node's flannel": {nil, flannels(t, 3, "10.5.2.0-24"), subnet.MACFor(pair(t, "10.5.2.0-24").IPv4)},
		"of another pod subnet":     {nil, flannels(t, 2, "10.5.3.0-24"), subnet.MACFor(pair(t, "10.5.2.0-24").IPv4)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) {
				for _, l := range row.saved {
					o.Saved = savedState(5, l)
				}
			})
			m := message(7, []string{"10.5.2.0/24"}, row.listed)
			w.send(m)
			a, _ := w.announcement()
			if l, err := subnet.ParseLease(a.Lease.Key, a.Lease.Value); err != nil || l.IPv4.MAC != row.want {
				t.Errorf("MAC %s, want %s; %v", l.IPv4.MAC, row.want, err)
			}
		})
	}
}

func TestPublicAddressFromAnAnnotation(t *testing.T) {
	for name, row := range map[string]struct {
		ipv4, ipv6 string
		want       [2]string
		warning    string
	}{
		"none": {"", "", [2]string{"192.168.0.2", "2001:db8::2"}, ""},
		"IPv4": {"198.51.100.7", "", [2]string{"198.51.100.7", "2001:db8::2"}, "the other nodes reach this node at 198.51.100.7, because the annotation public-ip-overwrite of the Node n2 sets it"},
		"both": {"198.51.100.7", "2001:db8:9::7", [2]string{"198.51.100.7", "2001:db8:9::7"},
			"the other nodes reach this node at 198.51.100.7, because the annotation public-ip-overwrite of the Node n2 sets it\nthe other nodes reach this node at 2001:db8:9::7, because the annotation public-ipv6-overwrite of the Node n2 sets it"},
		"not an address":  {"n2.example", "", [2]string{"192.168.0.2", "2001:db8::2"}, `the annotation public-ip-overwrite of the Node n2 is ignored: "n2.example" is not an IPv4 address`},
		"another family":  {"2001:db8::7", "", [2]string{"192.168.0.2", "2001:db8::2"}, `the annotation public-ip-overwrite of the Node n2 is ignored: "2001:db8::7" is not an IPv4 address`},
		"loopback":        {"", "::1", [2]string{"192.168.0.2", "2001:db8::2"}, "the annotation public-ipv6-overwrite of the Node n2 is ignored: public address ::1 cannot be the address of a node"},
		"of a pod":        {"10.5.7.7", "", [2]string{"192.168.0.2", "2001:db8::2"}, "the annotation public-ip-overwrite of the Node n2 is ignored: public address 10.5.7.7 is in the pod network: pods have 10.5.0.0/16"},
		"only one is bad": {"198.51.100.7", "x", [2]string{"198.51.100.7", "2001:db8::2"}, "the other nodes reach this node at 198.51.100.7, because the annotation public-ip-overwrite of the Node n2 sets it\nthe annotation public-ipv6-overwrite of the Node n2 is ignored: \"x\" is not an IPv6 address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := message(7, []string{"10.5.2.0/24", "fd00:5:0:2::/64"})
			m.Config, m.Own.PublicIP, m.Own.PublicIPv6 = []byte(dualConfig), row.ipv4, row.ipv6
			st := w.send(m)
			if got := [2]string{st.Own.IPv4.PublicIP.String(), st.Own.IPv6.PublicIP.String()}; got != row.want {
				t.Errorf("addresses %v, want %v", got, row.want)
			}
			if got := strings.Join(st.Warnings, "\n"); got != row.warning {
				t.Errorf("warnings %q, want %q", got, row.warning)
			}
		})
	}
}

// podlane-kube has no right to write the annotations. The node uses its lease, and the error has the reason.
func TestAnnouncementIsNotWritten(t *testing.T) {
	w := newWorld(t)
	m := message(7, []string{"10.5.2.0/24"})
	m.Own.Fault = "write the annotations of the Node n2: the token has no right to patch nodes/status"
	st := w.send(m)
	if text(st.Err) != "this node is not announced to the other nodes: "+m.Own.Fault || st.Own.Pair() != pair(t, "10.5.2.0-24") || st.Held {
		t.Errorf("own lease %s, held %v, error %v", st.Own, st.Held, st.Err)
	}
	if st = w.echo(message(8, []string{"10.5.2.0/24"})); st.Err != nil || !st.Held {
		t.Errorf("written: held %v, error %v", st.Held, st.Err)
	}
}

// A changed address of the underlay is announced, and the MAC stays.
func TestAddressOfTheNodeChanges(t *testing.T) {
	w := newWorld(t)
	m := message(7, []string{"10.5.2.0/24"})
	w.send(m)
	before := w.echo(m)
	moved := self(2)
	moved.PublicIP = netip.MustParseAddr("192.168.0.22")
	w.setSelf(moved)
	if st := w.state(w.now); st.Held || st.Own.IPv4.PublicIP != moved.PublicIP || st.Own.IPv4.MAC != before.Own.IPv4.MAC {
		t.Errorf("own lease %s, held %v", st.Own, st.Held)
	}
	m.Revision = 9
	if st := w.echo(m); !st.Held || !before.Held {
		t.Error("not held")
	}
}
