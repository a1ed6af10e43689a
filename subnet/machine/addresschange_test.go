package machine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

func TestAnswerOfAHolderThatHasMoved(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(ipv4Config))
	if err != nil {
		t.Fatal(err)
	}
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.9.0/24")}
	holder := self(2).Lease(network, pair, subnet.Lease{})
	away := self(2)
	away.PublicIP = netip.MustParseAddr("192.168.55.5")
	back, old := away, away
	back.PublicIP, old.Node.ID = self(1).PublicIP, "another"
	for name, c := range map[string]struct {
		answer  subnet.Self
		at      int64 // the answer; the claim is of 20
		written int64 // the lease
		left    bool
	}{
		"it is elsewhere":                      {away, 21, 10, true},
		"before the claim":                     {away, 19, 10, false},
		"it has written its lease since":       {away, 21, 22, false},
		"it has written its lease before that": {away, 23, 22, true},
		"at our address":                       {back, 21, 10, false},
		"another node":                         {old, 21, 10, false},
	} {
		m := New(Options{Self: self(1)})
		m.mirror = newMirrorAt(30)
		m.mirror.entries[pair.Key()] = entry{pair: pair, record: subnet.Record{Lease: holder, Created: 5, Modified: c.written}}
		answer, err := parseClaim(claimValue(c.answer, pair.Key()))
		if err != nil {
			t.Fatal(err)
		}
		answer.modified = c.at
		m.mirror.claims["x"] = answer
		m.claim = ownClaim{revision: 20}
		if got := len(m.identityClaim(time.Now()).Moved) == 1; got != c.left {
			t.Errorf("%s: left %v", name, got)
		}
		m.claim.about = podSubnet
		if len(m.movedHolders()) != 0 {
			t.Errorf("%s: an answer to another claim", name)
		}
	}
}

// Which claims a node answers if it has left the address in its lease.
func TestClaimsAboutAnAddressThatTheNodeHasLeft(t *testing.T) {
	network, _, err := subnet.ParseNetwork([]byte(dualConfig))
	if err != nil {
		t.Fatal(err)
	}
	pair := subnet.Pair{IPv4: netip.MustParsePrefix("10.5.9.0/24"), IPv6: netip.MustParsePrefix("fd00:5:0:9::/64")}
	lease := self(1).Lease(network, pair, subnet.Lease{})
	here := self(1)
	here.PublicIP = netip.MustParseAddr("192.168.55.5") // and still at its IPv6 address
	clone := self(1)
	clone.Node.Name, clone.PublicIPv6 = "clone", netip.Addr{}
	for name, c := range map[string]struct {
		from     subnet.Self
		revision int64
		lease    string
		want     bool
	}{
		"another node has the address":  {subnet.Self{Node: self(2).Node, PublicIP: lease.IPv4.PublicIP}, 21, "", true},
		"a clone has the address":       {clone, 21, "", true},
		"it was answered":               {subnet.Self{Node: self(2).Node, PublicIP: lease.IPv4.PublicIP}, 20, "", false},
		"another node's other address":  {self(2), 21, "", false},
		"an address that is ours still": {subnet.Self{Node: self(2).Node, PublicIPv6: lease.IPv6.PublicIP}, 21, "", false},
		"an address that is ours now":   {subnet.Self{Node: self(2).Node, PublicIP: here.PublicIP}, 21, "", false},
		"our own claim":                 {self(1), 30, "", false},
		"an answer, and not a claim":    {subnet.Self{Node: self(2).Node, PublicIP: lease.IPv4.PublicIP}, 21, "10.5.8.0-24", false},
		"a claim without an address":    {subnet.Self{Node: self(2).Node}, 21, "", false},
	} {
		asked, err := parseClaim(claimValue(c.from, c.lease))
		if err != nil {
			t.Fatal(err)
		}
		asked.modified = c.revision
		m := New(Options{Self: here})
		m.mirror, m.own.lease, m.moveAnnounced, m.claim.revision = newMirrorAt(30), lease, 20, 30
		m.mirror.claims["x"] = asked
		if got := m.mustAnnounceMove(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
