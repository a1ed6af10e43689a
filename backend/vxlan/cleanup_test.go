package vxlan

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/kernel"
)

func (d *node) cleanup() (ops []kernel.Op) {
	d.Helper()
	err := d.Do(func() (err error) {
		ops, err = Cleanup(context.Background())
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return ops
}

func TestCleanupLeavesOthers(t *testing.T) {
	d := newNode(t, network(t, configBoth, `"DirectRouting":true`))
	d.addForeignState()
	before := d.foreignState()
	d.apply(leases(3))
	d.run("ip link add podlane.x989680 address 02:00:00:00:00:99 type vxlan id 10000000 dstport 4789 local 198.18.0.1")
	wantOps(t, d.cleanup(), `
		delete link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1430 address 8e:ca:98:f1:de:ac
		delete link podlane.x989680 type vxlan id 10000000 dstport 4789 local 198.18.0.1 mtu 1500 address 02:00:00:00:00:99 learning
		delete route 10.5.2.0/24 via 198.18.0.2 dev u0 proto 112 metric 65538
		delete route 10.5.3.0/24 via 198.18.0.3 dev u0 proto 112 metric 65539
		delete link podlane-v6.1 type vxlan id 1 dstport 8472 local 2001:db8::1 mtu 1430 address be:54:42:17:bd:5f
		delete route fd00:5:2::/64 via 2001:db8::2 dev u0 proto 112 metric 65538
		delete route fd00:5:3::/64 via 2001:db8::3 dev u0 proto 112 metric 65539`)
	if diff := cmp.Diff(before, d.foreignState()); diff != "" {
		t.Errorf("the state of other programs (-before +after):\n%s", diff)
	}
	wantOps(t, d.cleanup(), "")
}
