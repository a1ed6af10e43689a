package underlay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// step is the choice at a time after the start, and the expected decision.
type step struct {
	at     time.Duration
	choice Interface
	move   bool
	again  time.Duration
}

func TestFollow(t *testing.T) {
	const ms = time.Millisecond
	eth0 := Interface{Name: "eth0", Index: 2, MTU: 1500, Addrs: addrs("198.18.0.1/16", "2001:db8::1/64")}
	with := func(change func(*Interface)) Interface {
		i := eth0
		change(&i)
		return i
	}
	moved := with(func(i *Interface) { i.Name, i.Index = "br0", 7 })
	smaller := with(func(i *Interface) { i.MTU = 1400 })
	further := with(func(i *Interface) { i.Addrs = addrs("198.18.0.1/16", "198.18.0.99/32", "2001:db8::1/64") })
	virtual := with(func(i *Interface) { i.Addrs = addrs("198.18.0.99/32", "2001:db8::1/64") })
	only4 := with(func(i *Interface) { i.Addrs = addrs("198.18.0.1/16") })
	other := Interface{Name: "eth1", Index: 3, MTU: 1500, Addrs: addrs("203.0.113.1/24")}
	for name, steps := range map[string][]step{
		"nothing":                          {{0, eth0, false, 0}, {1000 * ms, eth0, false, 0}},
		"the address moves along":          {{0, moved, true, 0}},
		"the MTU":                          {{0, smaller, true, 0}},
		"a further address":                {{0, further, true, 0}},
		"another interface":                {{0, other, false, FollowDelay}, {200 * ms, other, false, 300 * ms}, {500 * ms, other, true, 0}},
		"another interface, for a moment":  {{0, other, false, FollowDelay}, {300 * ms, eth0, false, 0}, {900 * ms, other, false, FollowDelay}},
		"another address, for a moment":    {{0, virtual, false, FollowDelay}, {499 * ms, virtual, false, 1 * ms}, {499 * ms, eth0, false, 0}},
		"another address":                  {{0, virtual, false, FollowDelay}, {700 * ms, virtual, true, 0}},
		"one thing after the other":        {{0, only4, false, FollowDelay}, {300 * ms, other, false, 200 * ms}, {600 * ms, virtual, true, 0}},
		"no IPv6 address, for a moment":    {{0, only4, false, FollowDelay}, {300 * ms, eth0, false, 0}},
		"another interface, then with all": {{0, other, false, FollowDelay}, {300 * ms, moved, true, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var f Follower
			start := time.Now()
			for _, s := range steps {
				move, again := f.Follow(eth0, s.choice, start.Add(s.at))
				if move != s.move || again != s.again {
					t.Errorf("after %s to %s: %v, again after %s; want %v, %s", s.at, s.choice.Name, move, again, s.move, s.again)
				}
			}
		})
	}
}

// The underlay passes through a transient state. The test checks the choice, and whether a node follows at once.
func TestTransientStates(t *testing.T) {
	const none = "" // an error: the underlay in use stays
	for name, c := range map[string]struct {
		want     Want
		commands string
		choice   string // name and first addresses
		follows  bool   // at once
	}{
		"nothing":                        {Want{}, "true", "eth0 198.18.0.1 2001:db8::1", false},
		"default route gone":             {Want{}, "ip route del default dev eth0", "eth0 198.18.0.1 2001:db8::1", false},
		"both default routes gone":       {Want{}, "ip route del default; ip route del default", "eth0 198.18.0.1 2001:db8::1", false},
		"better default route elsewhere": {Want{}, "ip route add default via 198.19.0.254 dev eth1 metric 1", "eth0 198.18.0.1 2001:db8::1", false},
		"default route and IPv6 gone":    {Want{}, "ip route del default dev eth0; ip addr del 2001:db8::1/64 dev eth0", "eth1 198.19.0.1 invalid IP", false},
		"IPv6 renumbered, and default":   {Want{}, "ip addr del 2001:db8::1/64 dev eth0; ip addr add 2001:db8:7::1/64 dev eth0 nodad; ip route del default dev eth0", "eth0 198.18.0.1 2001:db8:7::1", false},
		"cable unplugged":                {Want{}, "ip link set far0 down", "eth0 198.18.0.1 2001:db8::1", false},
		"address flushed":                {Want{}, "ip -4 addr flush dev eth0", "eth1 198.19.0.1 invalid IP", false},
		"address flushed, by name":       {Want{Ifaces: []string{"eth0"}}, "ip addr flush dev eth0", none, false},
		"address flushed, by two names":  {Want{Ifaces: []string{"eth0", "eth1"}}, "ip addr flush dev eth0", "eth1 198.19.0.1 invalid IP", false},
		"IPv4 flushed, by name":          {Want{Ifaces: []string{"eth0"}}, "ip -4 addr flush dev eth0", "eth0 invalid IP 2001:db8::1", false},
		"flushed, but for a virtual one": {Want{}, "ip addr add 198.18.0.99/32 dev eth0; ip addr del 198.18.0.1/16 dev eth0; ip route add default dev eth0 metric 1", "eth0 198.18.0.99 2001:db8::1", false},
		"and added again behind it":      {Want{}, "ip addr add 198.18.0.99/32 dev eth0; ip addr del 198.18.0.1/16 dev eth0; ip addr add 198.18.0.1/16 dev eth0; ip route add default dev eth0 metric 1", "eth0 198.18.0.1 2001:db8::1", true},
		"a virtual address before ours":  {Want{}, "ip addr add 2001:db8::99/128 dev eth0 nodad", "eth0 198.18.0.1 2001:db8::1", true},
		"down":                           {Want{}, "ip link set eth0 down", "eth1 198.19.0.1 invalid IP", false},
		"down, by name":                  {Want{Ifaces: []string{"eth0"}}, "ip link set eth0 down", none, false},
		"down and up":                    {Want{Ifaces: []string{"eth0"}}, "ip link set eth0 down; ip link set eth0 up; ip addr add 2001:db8::1/64 dev eth0 nodad", "eth0 198.18.0.1 2001:db8::1", false},
		"address tentative":              {Want{}, tentative + "ip addr del 2001:db8::1/64 dev eth0; ip addr add 2001:db8::1/64 dev eth0", "eth0 198.18.0.1 2001:db8::1", false},
		"another address tentative":      {Want{}, tentative + "ip addr del 2001:db8::1/64 dev eth0; ip addr add 2001:db8::2/64 dev eth0", "eth0 198.18.0.1 2001:db8::2", false},
		"address deprecated":             {Want{}, "ip addr change 2001:db8::1/64 dev eth0 preferred_lft 0", "eth0 198.18.0.1 2001:db8::1", false},
		"all deprecated, no default":     {Want{}, "for a in 198.18.0.1/16 2001:db8::1/64; do ip addr change $a dev eth0 preferred_lft 0; done; ip route flush default", "eth0 198.18.0.1 2001:db8::1", false},
		"deprecated beside a new one":    {Want{}, "ip addr add 2001:db8::2/64 dev eth0 nodad; ip addr change 2001:db8::1/64 dev eth0 preferred_lft 0", "eth0 198.18.0.1 2001:db8::1", true},
		"renamed":                        {Want{}, "ip link set eth0 down; ip link set eth0 name net0; ip link set net0 up; " + again6 + "net0 nodad", "net0 198.18.0.1 2001:db8::1", true},
		"renamed, by altname":            {Want{Ifaces: []string{"uplink"}}, "ip link set eth0 down; ip link set eth0 name net0; ip link set net0 up; " + again6 + "net0 nodad", "net0 198.18.0.1 2001:db8::1", true},
		"created again":                  {Want{}, "ip link del eth0; ip link add eth0 type veth peer name far0; ip link set far0 up; ip link set eth0 up; ip addr add 198.18.0.1/16 dev eth0; " + again6 + "eth0 nodad", "eth0 198.18.0.1 2001:db8::1", true},
		"port of a bridge, both have it": {Want{}, bridged + "; ip addr add 198.18.0.1/16 dev br0; " + again6 + "br0 nodad; ip route del default dev eth0; ip route add default dev br0", "br0 198.18.0.1 2001:db8::1", true},
		"moved to a bridge, no default":  {Want{}, bridged + "; ip addr flush dev eth0; ip addr add 198.18.0.1/16 dev br0; " + again6 + "br0 nodad; ip route flush default", "br0 198.18.0.1 2001:db8::1", true},
		"also on lo":                     {Want{}, "ip link set lo up; ip addr add 198.18.0.1/32 dev lo; " + again6 + "lo nodad; ip route flush default", "eth0 198.18.0.1 2001:db8::1", false},
		"moved to lo":                    {Want{}, "ip link set lo up; ip addr flush dev eth0; ip addr add 198.18.0.1/32 dev lo; " + again6 + "lo nodad", "lo 198.18.0.1 2001:db8::1", true},
		"moved to a bridge":              {Want{}, "ip link add br0 type bridge; ip link set br0 up; ip addr flush dev eth0; ip addr add 198.18.0.1/16 dev br0; ip addr add 2001:db8::1/64 dev br0 nodad; ip route add default dev br0", "br0 198.18.0.1 2001:db8::1", true},
	} {
		t.Run(name, func(t *testing.T) {
			n := setUp(t, twoDefaults)
			before := in(t, n, func() (Interface, error) { return chooseHere(c.want) })
			if _, err := n.Run("sh", "-ec", c.commands); err != nil {
				t.Fatal(err)
			}
			c.want.Known = []netip.Addr{before.Local(subnet.IPv4), before.Local(subnet.IPv6)}
			c.want.Kept = c.want.Known
			var after Interface
			err := n.Do(func() (err error) { after, err = chooseHere(c.want); return err })
			if c.choice == none {
				if err == nil {
					t.Errorf("chose %s", after.Name)
				}
				return
			}
			got := after.Name + " " + after.Local(subnet.IPv4).String() + " " + after.Local(subnet.IPv6).String()
			if err != nil || got != c.choice {
				t.Errorf("chose %s, %v; want %s", got, err, c.choice)
			}
			var f Follower
			if move, _ := f.Follow(before, after, time.Now()); move != c.follows {
				t.Errorf("follows at once: %v, want %v", move, c.follows)
			}
		})
	}
}

const (
	again6  = "ip addr add 2001:db8::1/64 dev "
	bridged = "ip link add br0 type bridge; ip link set br0 up; ip link set eth0 master br0"
)

// tentative makes duplicate address detection last ten seconds.
const tentative = "sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=10; "

// twoDefaults is a node with a second default route, as good as the first one when that is gone.
const twoDefaults = `
sysctl -qw net.ipv6.conf.default.accept_dad=0
ip link add eth0 type veth peer name far0
ip link add eth1 type veth peer name far1
ip link property add dev eth0 altname uplink
ip addr add 198.18.0.1/16 dev eth0
ip addr add 198.19.0.1/24 dev eth1
for i in eth0 far0 eth1 far1; do ip link set $i up; done
ip addr add 2001:db8::1/64 dev eth0 nodad
ip route add default via 198.18.0.254 dev eth0 metric 100
ip route add default via 198.19.0.254 dev eth1 metric 200`

// A node that starts while an address is still tentative chooses another address that it has.
func TestTentativeAddressComesLast(t *testing.T) {
	n := setUp(t, twoDefaults)
	for _, c := range []struct{ command, want string }{
		{tentative + "ip addr add 2001:db8::2/64 dev eth0", "2001:db8::1"},
		{"ip addr del 2001:db8::1/64 dev eth0", "2001:db8::2"},
	} {
		if _, err := n.Run("sh", "-ec", c.command); err != nil {
			t.Fatal(err)
		}
		i := in(t, n, func() (Interface, error) { return chooseHere(Want{}) })
		if got := i.Local(subnet.IPv6).String(); got != c.want {
			t.Errorf("after %s: %s, want %s", c.command, got, c.want)
		}
	}
}
