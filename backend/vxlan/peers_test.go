package vxlan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
)

// The kernel refuses a gateway that is an address of the node itself. While another program has added a peer's first
// address to the node, the route to that peer is refused.
func TestKernelRefusesOnePeer(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	peers := leases(4)
	d.run("ip addr add 10.5.3.0/32 dev lo")
	const refused = "add route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink: "
	for round := range 3 { // each Apply tries again
		r, err := d.try(peers)
		if err != nil || r.Peers != 2 || len(r.Failed) != 1 || len(r.Degraded) != 1 {
			t.Fatalf("round %d: %d peers, failed %v, degraded %v, %v", round, r.Peers, r.Failed, r.Degraded, err)
		}
		want := subnet.Skip{Key: peers[1].Pair().Key(), Reason: r.Failed[0].Error()}
		if diff := cmp.Diff(want, r.Degraded[0]); diff != "" {
			t.Errorf("degraded (-want +got):\n%s", diff)
		}
		if !strings.HasPrefix(want.Reason, refused) || !strings.Contains(want.Reason, "invalid argument") {
			t.Errorf("the refusal is %q, want %q with \"invalid argument\"", want.Reason, refused)
		}
		if round > 0 && len(r.Ops) > 0 {
			t.Errorf("round %d wrote\n%s", round, texts(r.Ops))
		}
	}
	for _, reached := range []string{"10.5.2.9", "10.5.4.9", "fd00:5:2::9", "fd00:5:3::9", "fd00:5:4::9"} {
		if got := d.run("ip route get " + reached); !strings.Contains(got, "dev podlane") {
			t.Errorf("to %s: %s", reached, got)
		}
	}
	d.run("ip addr del 10.5.3.0/32 dev lo")
	r := d.apply(peers)
	wantOps(t, r.Ops, strings.TrimSuffix(refused, ": "))
	if len(r.Degraded) != 0 {
		t.Errorf("degraded %v", r.Degraded)
	}
	d.wantInSync(peers)
}

// A refusal concerns only new entries. Apply does not write an installed entry again.
func TestInstalledPeerIsNotRefused(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(3))
	d.run("ip addr add 10.5.3.0/32 dev lo")
	d.wantInSync(leases(3))
}

// All degraded peers are named.
func TestManyRefusals(t *testing.T) {
	ls := many(152)
	d := newNode(t, network(t, configLarge, ""))
	d.self = ls[0]
	for _, l := range ls[2:] {
		d.run("ip addr add " + l.IPv4.Subnet.Addr().String() + "/32 dev lo")
	}
	r, err := d.try(ls[1:])
	if err != nil || r.Peers != 1 || len(r.Failed) != len(ls)-2 || len(r.Degraded) != len(ls)-2 {
		t.Errorf("%d peers, %d failed, %d degraded, %v", r.Peers, len(r.Failed), len(r.Degraded), err)
	}
}

// Another program deletes an object first: the wanted state is reached all the same.
func TestAnotherProgramDeletesFirst(t *testing.T) {
	for name, faster := range map[string]string{
		"the route":     "ip route del 10.5.3.0/24",
		"the FDB entry": "bridge fdb del e6:ad:78:43:1a:d0 dev podlane.1 self",
		"the neighbour": "ip neigh del 10.5.3.0 dev podlane.1",
		"all":           "ip route del 10.5.3.0/24\nbridge fdb del e6:ad:78:43:1a:d0 dev podlane.1 self\nip neigh del 10.5.3.0 dev podlane.1",
		"the device":    "ip link del podlane.1",
	} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, configIPv4, ""))
			d.apply(leases(3))
			d.between(leases(2), func() {
				for command := range strings.Lines(faster) {
					d.run(command)
				}
			})
			r := d.apply(leases(2))
			if name != "the device" && len(r.Ops) != 0 {
				t.Errorf("left to do:\n%s", texts(r.Ops))
			}
			d.wantInSync(leases(2))
		})
	}
}

// between runs the first round of a reconciler. It calls meanwhile between the read and the write.
func (d *node) between(peers []subnet.Lease, meanwhile func()) {
	d.Helper()
	err := d.Do(func() error {
		p, close := d.newReconciler(peers)
		defer close()
		links, err := readLinks(p.w.conn)
		if err != nil {
			return err
		}
		p.recordLinks(links)
		blocked, err := p.readEntries()
		if err != nil {
			return err
		}
		p.writeEntries(blocked)
		meanwhile()
		err = p.w.send()
		for _, f := range p.w.failed {
			d.Error(f)
		}
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
}

// newReconciler returns a reconciler of the IPv4 family, like that of Apply.
func (d *node) newReconciler(peers []subnet.Lease) (p *reconciler, done func()) {
	d.Helper()
	conn, err := rtnl.Dial()
	if err != nil {
		d.Fatal(err)
	}
	want, _ := plan(subnet.IPv4, d.backend.network, d.backend.underlay, d.self, peers)
	have := newState(0)
	return &reconciler{
		family: subnet.IPv4, name: want.device.name, underlay: d.backend.underlay, w: writer{conn: conn}, have: &have, want: want,
	}, conn.Close
}
