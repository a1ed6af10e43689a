package vxlan

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

const startOps = `
	add link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac
	set link podlane.1 rp_filter loose
	set link podlane.1 forwarding on
	set link podlane.1 addrgenmode none
	add address 10.5.1.0/32 dev podlane.1
	set link podlane.1 up
	add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1
	add neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1
	add fdb 4e:3f:c8:0a:91:05 dst 198.18.0.2 dev podlane.1
	add fdb e6:ad:78:43:1a:d0 dst 198.18.0.3 dev podlane.1
	add route 10.5.2.0/24 via 10.5.2.0 dev podlane.1 proto 112 metric 131074 onlink
	add route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink
`

func TestStartFromNothing(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	peers := leases(3)
	r := d.apply(peers)
	wantOps(t, r.Ops, startOps)
	if r.Peers != 2 || len(r.Skipped) != 0 {
		t.Errorf("%d peers, %v skipped", r.Peers, r.Skipped)
	}
	want := `10.5.2.0/24 via 10.5.2.0 dev podlane.1 metric 131074 onlink
10.5.3.0/24 via 10.5.3.0 dev podlane.1 metric 131075 onlink
10.5.3.0 dev podlane.1 lladdr e6:ad:78:43:1a:d0 PERMANENT
10.5.2.0 dev podlane.1 lladdr 4e:3f:c8:0a:91:05 PERMANENT
e6:ad:78:43:1a:d0 dst 198.18.0.3 self permanent
4e:3f:c8:0a:91:05 dst 198.18.0.2 self permanent
`
	fdb := d.run("bridge fdb show dev podlane.1")
	got := strings.Join([]string{
		d.run("ip -4 route show proto 112"), d.run("ip neigh show nud permanent"), fdb}, "")
	if diff := cmp.Diff(sorted(want), sorted(strings.ReplaceAll(got, " \n", "\n"))); diff != "" {
		t.Errorf("the kernel's entries (-want +got):\n%s", diff)
	}
	index, _, _ := strings.Cut(d.run("ip -o link show podlane.1"), ":")
	if len(r.Created) != 1 || r.Created[0].Name != "podlane.1" || strconv.Itoa(r.Created[0].Index) != index {
		t.Errorf("created devices %v, want podlane.1 with index %s", r.Created, index)
	}
	if again := d.apply(peers); len(again.Created) > 0 {
		t.Errorf("the second Apply created %v", again.Created)
	}
	details := d.run("ip -d addr show podlane.1")
	for _, detail := range []string{
		"mtu 1450", "link/ether 8e:ca:98:f1:de:ac", "vxlan id 1 local 198.18.0.1", "dstport 8472 nolearning",
		"inet 10.5.1.0/32 scope global", ",UP,LOWER_UP>",
	} {
		if !strings.Contains(details, detail) {
			t.Errorf("%q is not in\n%s", detail, details)
		}
	}
	if strings.Contains(details, "fe80:") {
		t.Errorf("a link-local address:\n%s", details)
	}
	for file, want := range map[string]string{"rp_filter": "2", "forwarding": "1"} {
		if got := strings.TrimSpace(d.run("cat /proc/sys/net/ipv4/conf/podlane.1/" + file)); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	d.wantInSync(peers)
}

func TestStartWithBothFamilies(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	peers := leases(3)
	r := d.apply(peers)
	if len(r.Ops) != 12+10 || r.Peers != 2 {
		t.Errorf("%d peers, wrote:\n%s", r.Peers, texts(r.Ops))
	}
	wantOps(t, r.Ops[12:], `
		add link podlane-v6.1 type vxlan id 1 dstport 8472 local 2001:db8::1 mtu 1430 address be:54:42:17:bd:5f
		set link podlane-v6.1 addrgenmode none
		add address fd00:5:1::/128 dev podlane-v6.1
		set link podlane-v6.1 up
		add neigh fd00:5:2:: lladdr 3e:8b:ea:97:ec:8f dev podlane-v6.1
		add neigh fd00:5:3:: lladdr c2:14:33:0d:f1:52 dev podlane-v6.1
		add fdb 3e:8b:ea:97:ec:8f dst 2001:db8::2 dev podlane-v6.1
		add fdb c2:14:33:0d:f1:52 dst 2001:db8::3 dev podlane-v6.1
		add route fd00:5:2::/64 via fd00:5:2:: dev podlane-v6.1 proto 112 metric 131074 onlink
		add route fd00:5:3::/64 via fd00:5:3:: dev podlane-v6.1 proto 112 metric 131075 onlink`)
	d.wantInSync(peers)
}

func TestRestartWritesNothing(t *testing.T) {
	n := network(t, configBoth, "")
	d := newNode(t, n)
	d.apply(leases(30))
	d.configure(n)
	d.wantInSync(leases(30))
}

func TestPeerMovesToAnotherHost(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(3))
	moved := lease(2)
	moved.IPv4.PublicIP = netip.MustParseAddr("198.18.0.77")
	wantOps(t, d.apply([]subnet.Lease{moved, lease(3)}).Ops, `replace fdb 4e:3f:c8:0a:91:05 dst 198.18.0.77 dev podlane.1`)
	moved.IPv4.MAC = subnet.MAC{2, 0, 0, 0, 0, 2}
	wantOps(t, d.apply([]subnet.Lease{moved, lease(3)}).Ops, `
		replace neigh 10.5.2.0 lladdr 02:00:00:00:00:02 dev podlane.1
		add fdb 02:00:00:00:00:02 dst 198.18.0.77 dev podlane.1
		delete fdb 4e:3f:c8:0a:91:05 dst 198.18.0.77 dev podlane.1`)
	d.wantInSync([]subnet.Lease{moved, lease(3)})
}

func TestPeerJoinsAndLeaves(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	wantOps(t, d.apply(leases(3)).Ops, `
		add neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1
		add fdb e6:ad:78:43:1a:d0 dst 198.18.0.3 dev podlane.1
		add route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink`)
	wantOps(t, d.apply(leases(2)).Ops, `
		delete route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink
		delete fdb e6:ad:78:43:1a:d0 dst 198.18.0.3 dev podlane.1
		delete neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1`)
	d.wantInSync(leases(2))
}

// The first Apply of a new run removes what an earlier run left behind.
func TestOrphansOfAnEarlierRun(t *testing.T) {
	n := network(t, configIPv4, "")
	d := newNode(t, n)
	d.apply(leases(4))
	d.run("ip route add 10.9.0.0/24 via 198.18.0.9 dev u0 proto 112")
	d.run("ip route add blackhole 10.9.1.0/24 proto 112 metric 5")
	d.configure(n)
	wantOps(t, d.apply(leases(3)).Ops, `
		delete route 10.5.4.0/24 via 10.5.4.0 dev podlane.1 proto 112 metric 131076 onlink
		delete route 10.9.0.0/24 via 198.18.0.9 dev u0 proto 112 metric 0
		delete route 10.9.1.0/24 proto 112 metric 5
		delete fdb 6e:64:52:50:49:56 dst 198.18.0.4 dev podlane.1
		delete neigh 10.5.4.0 lladdr 6e:64:52:50:49:56 dev podlane.1`)
	d.wantInSync(leases(3))
}

func TestVNIChanges(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	d.configure(network(t, configIPv4, `"VNI":16777215`))
	peer := lease(2)
	peer.IPv4.VNI = subnet.MaxVNI
	r := d.apply([]subnet.Lease{peer})
	wantOps(t, r.Ops[:2], `
		delete link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac
		add link podlane.xffffff type vxlan id 16777215 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac`)
	d.wantInSync([]subnet.Lease{peer})
}

// Port, GBP and checksums cannot be changed in place. So the device and everything on it are created again.
func TestPortChanges(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(3))
	d.configure(network(t, configIPv4, `"Port":4789,"GBP":true`))
	r := d.apply(leases(3))
	want := "delete link podlane.1 type vxlan id 1 dstport 8472 local 198.18.0.1 mtu 1450 address 8e:ca:98:f1:de:ac\n" + startOps
	want = strings.Replace(want, "add link podlane.1 type vxlan id 1 dstport 8472", "add link podlane.1 type vxlan id 1 dstport 4789", 1)
	wantOps(t, r.Ops, strings.Replace(want, "ac\n\tset", "ac gbp\n\tset", 1))
	d.wantInSync(leases(3))
}

func TestDeviceIsChangedInPlace(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	index := d.index("podlane.1")
	d.configure(network(t, configIPv4, `"MTU":1400,"Learning":true`))
	d.self.IPv4.MAC = subnet.MAC{2, 0, 0, 0, 0, 1}
	wantOps(t, d.apply(leases(2)).Ops, `
		set link podlane.1 mtu 1400
		set link podlane.1 address 02:00:00:00:00:01
		set link podlane.1 learning
		add neigh 10.5.2.0 lladdr 4e:3f:c8:0a:91:05 dev podlane.1`)
	d.wantInSync(leases(2))
	if d.index("podlane.1") != index {
		t.Error("the device was created again")
	}
}

func TestOwnSubnetChanges(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	d.self.IPv4.Subnet = netip.MustParsePrefix("10.5.200.0/24")
	wantOps(t, d.apply(leases(2)).Ops, `
		add address 10.5.200.0/32 dev podlane.1
		delete address 10.5.1.0/32 dev podlane.1`)
	d.wantInSync(leases(2))
}

func TestFamilyTurnedOff(t *testing.T) {
	d := newNode(t, network(t, configBoth, `"DirectRouting":true`))
	far := lease(2)
	far.IPv6.PublicIP = netip.MustParseAddr("2001:db8:1::2")
	peers := []subnet.Lease{far, lease(3)}
	d.apply(peers)
	d.configure(network(t, configIPv4, `"DirectRouting":true,"MTU":1430`))
	wantOps(t, d.apply(peers).Ops, `
		delete link podlane-v6.1 type vxlan id 1 dstport 8472 local 2001:db8::1 mtu 1430 address be:54:42:17:bd:5f
		delete route fd00:5:3::/64 via 2001:db8::3 dev u0 proto 112 metric 65539`)
	d.wantInSync(peers)
}

func TestDirectRouting(t *testing.T) {
	d := newNode(t, network(t, configBoth, `"DirectRouting":true`))
	far := lease(3)
	far.IPv4.PublicIP = netip.MustParseAddr("198.51.100.3")
	d.apply([]subnet.Lease{lease(2), far})
	if got := d.run("ip route get 10.5.2.9"); !strings.Contains(got, "via 198.18.0.2 dev u0") {
		t.Errorf("to a peer on the link: %s", got)
	}
	if got := d.run("ip route get 10.5.3.9"); !strings.Contains(got, "dev podlane.1") {
		t.Errorf("to a peer behind a router: %s", got)
	}
	d.wantInSync([]subnet.Lease{lease(2), far})
	near := lease(3)
	r := d.apply([]subnet.Lease{lease(2), near})
	wantOps(t, r.Ops, `
		add route 10.5.3.0/24 via 198.18.0.3 dev u0 proto 112 metric 65539
		delete route 10.5.3.0/24 via 10.5.3.0 dev podlane.1 proto 112 metric 131075 onlink
		delete fdb e6:ad:78:43:1a:d0 dst 198.51.100.3 dev podlane.1
		delete neigh 10.5.3.0 lladdr e6:ad:78:43:1a:d0 dev podlane.1`)
	d.wantInSync([]subnet.Lease{lease(2), near})
}

// The kernel refuses an IPv6 route while its gateway is reached through another device. See deleteConflictingRoutes.
func TestPeerLeavesTheLink(t *testing.T) {
	for name, config := range map[string]string{"IPv4": configIPv4, "IPv6": configIPv6} {
		t.Run(name, func(t *testing.T) {
			d := newNode(t, network(t, config, `"DirectRouting":true`))
			d.apply(leases(3))
			far := lease(3)
			far.IPv4.PublicIP, far.IPv6.PublicIP = netip.MustParseAddr("198.51.100.3"), netip.MustParseAddr("2001:db8:1::3")
			d.apply([]subnet.Lease{lease(2), far})
			d.wantInSync([]subnet.Lease{lease(2), far})
		})
	}
}

// The kernel refuses a next hop that is not on the link. Here the backend believes that the link is wider.
func TestOneFailureLeavesTheOthers(t *testing.T) {
	n := network(t, configIPv4, `"DirectRouting":true`)
	d := newNode(t, n)
	u := d.underlay()
	u.Addrs[0] = netip.MustParsePrefix("198.18.0.1/16")
	b, err := New(n, u)
	if err != nil {
		t.Fatal(err)
	}
	d.backend = b
	bad := lease(3)
	bad.IPv4.PublicIP = netip.MustParseAddr("198.18.7.3")
	peers := []subnet.Lease{lease(2), bad, lease(4)}
	for range 2 {
		r, err := d.try(peers)
		if err != nil || r.Peers != 2 || len(r.Failed) != 1 {
			t.Fatalf("%d peers, failed %v, %v", r.Peers, r.Failed, err)
		}
		want := "add route 10.5.3.0/24 via 198.18.7.3 dev u0 proto 112 metric 65539: "
		if f := r.Failed[0]; !strings.HasPrefix(f.Error(), want) || errors.Unwrap(f) == nil {
			t.Errorf("got %q, want %q with the kernel's error", f, want)
		}
	}
	for _, subnet := range []string{"10.5.2.0/24", "10.5.4.0/24"} {
		if d.run("ip route show "+subnet) == "" {
			t.Errorf("no route to %s", subnet)
		}
	}
	d.run("ip addr add 198.18.7.1/24 dev u0")
	wantOps(t, d.apply(peers).Ops, `add route 10.5.3.0/24 via 198.18.7.3 dev u0 proto 112 metric 65539`)
	d.wantInSync(peers)
}

// Another program interferes with Apply. Each call ends. The next one repairs the rest.
func TestDeviceIsDeletedDuringApply(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = d.Run("ip", "link", "del", "podlane.1") // it may not exist
			}
		}
	}()
	for range 100 {
		_, err := d.try(leases(100))
		if err != nil && !errors.Is(err, errNotConverged) {
			t.Error(err)
		}
	}
	close(stop)
	<-done
	d.apply(leases(100))
	d.wantInSync(leases(100))
}

func TestOneFamilyDoesNotStopTheOther(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.run("ip link add podlane.1 type bridge")
	r, err := d.try(leases(2))
	if err == nil || !strings.HasPrefix(err.Error(), "IPv4 overlay: ") || r.Peers != 0 {
		t.Errorf("%d peers, %v", r.Peers, err)
	}
	if d.run("ip -6 route show fd00:5:2::/64") == "" {
		t.Errorf("the IPv6 overlay is missing; wrote:\n%s", texts(r.Ops))
	}
	d.run("ip link del podlane.1")
	d.apply(leases(2))
	d.wantInSync(leases(2))
}

func TestOwnLeaseWithoutTheFamily(t *testing.T) {
	d := newNode(t, network(t, configBoth, ""))
	d.self.IPv6 = subnet.Endpoint{}
	if _, err := d.try(nil); err == nil || !strings.Contains(err.Error(), "has no IPv6 pod subnet") {
		t.Errorf("got %v", err)
	}
}

func TestApplyEndsWithItsContext(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := d.Do(func() error {
		_, err := d.backend.Apply(ctx, d.self, nil)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestApplyWithoutCapability(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	err := d.Do(func() error {
		if err := dropCapabilities(); err != nil {
			return err
		}
		_, err := d.backend.Apply(context.Background(), d.self, leases(2))
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "needs CAP_NET_ADMIN") || !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
}

// dropCapabilities drops the effective capabilities of the thread, which ends with Do.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// Below an MTU of 1280 the kernel removes IPv6 from a device. At 1280 it restores it, with a link-local address.
func TestMTUFallsBelowTheIPv6MinimumAndRises(t *testing.T) {
	d := newNode(t, network(t, configIPv4, ""))
	d.apply(leases(2))
	for _, mtu := range []string{"1230", "1450"} {
		d.configure(network(t, configIPv4, `"MTU":`+mtu))
		d.apply(leases(2))
		d.wantInSync(leases(2))
		if out := d.run("ip address show dev podlane.1"); !strings.Contains(out, "mtu "+mtu+" ") || strings.Contains(out, "inet6") {
			t.Error(out)
		}
	}
}
