package status

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// readyStatus returns the status of a node without a problem.
func readyStatus() Status {
	return Status{
		Ready:    true,
		Version:  "v1",
		Node:     subnet.Node{ID: "abc", Name: "n1"},
		Underlay: Underlay{Interface: "eth0", MTU: 1500, PublicIP: []netip.Addr{netip.MustParseAddr("198.18.1.1")}},
		Network:  []netip.Prefix{netip.MustParsePrefix("10.5.0.0/16")},
		MTU:      1450,
		Lease:    Lease{Subnet: []netip.Prefix{netip.MustParsePrefix("10.5.34.0/24")}, Held: true, Expiry: noon.Add(23 * time.Hour)},
		Etcd:     &Etcd{Endpoints: []string{"http://198.18.0.1:2379"}, Prefix: "/podlane/network", Seen: noon.Add(-3 * time.Second), Revision: 7},
		Peers: []Peer{
			{"n2", []netip.Prefix{netip.MustParsePrefix("10.5.35.0/24")}, netip.MustParseAddr("198.18.1.2"), "v1", PeerProgrammed, ""},
			{"", []netip.Prefix{netip.MustParsePrefix("10.5.36.0/24"), netip.MustParsePrefix("fd00:5:24::/64")}, netip.MustParseAddr("198.18.1.3"), "", PeerSkipped, ""},
		},
		Verified: noon.Add(-2 * time.Second), Resync: 30 * time.Second, NodeFile: true,
	}
}

func TestStatusAsText(t *testing.T) {
	for _, c := range []struct {
		name   string
		status Status
		want   string
	}{
		{"no problem", readyStatus(), `
node         n1 (id abc): ready
underlay     eth0, MTU 1500, address 198.18.1.1
pod network  10.5.0.0/16, MTU 1450
lease        10.5.34.0/24, valid for 23h0m0s without etcd
etcd         http://198.18.0.1:2379, prefix /podlane/network, answered 3s ago
kernel       verified 2s ago; repairs: 0

PEER  POD SUBNET                    PUBLIC ADDRESS  VERSION  STATE
n2    10.5.35.0/24                  198.18.1.2      v1       programmed
-     10.5.36.0/24, fd00:5:24::/64  198.18.1.3      -        skipped
`},
		{"before the first lease", Status{
			Node:     subnet.Node{ID: "abc", Name: "n1"},
			Problems: []string{"etcd: no answer"},
			Underlay: Underlay{Interface: "eth0", MTU: 1500},
			Etcd:     &Etcd{Endpoints: []string{"http://a", "http://b"}, Prefix: "/p"},
		}, `
node         n1 (id abc): NOT READY
problem      etcd: no answer
underlay     eth0, MTU 1500, address -
pod network  not known yet
lease        none yet
etcd         http://a, http://b, prefix /p, answered never
kernel       verified never; repairs: 0

PEER  POD SUBNET  PUBLIC ADDRESS  VERSION  STATE
`},
		{"many problems", func() Status {
			s := readyStatus()
			s.Ready, s.Peers = false, nil
			s.Problems, s.Notes = []string{"lease: a conflict", "peers: add route: no"}, []string{"ufw is on"}
			s.Lease.Held = false
			s.Checks = []Check{{"lease", false, "it is missing"}, {"etcd", true, ""}}
			s.Dropped = map[string]uint64{"vxlan_not_from_a_peer": 7, "http_from_a_pod": 0}
			s.Repaired, s.Repairs = 12, []Repair{{noon.Add(-time.Minute), "add route 10.5.35.0/24"}}
			s.Skipped, s.SkipCount = []subnet.Skip{{Key: "10.5.37.0-24", Reason: "MAC is zero"}}, 4
			return s
		}(), `
node         n1 (id abc): NOT READY
not ready    lease: it is missing
problem      lease: a conflict
problem      peers: add route: no
note         ufw is on
underlay     eth0, MTU 1500, address 198.18.1.1
pod network  10.5.0.0/16, MTU 1450
lease        10.5.34.0/24, NOT HELD in etcd
etcd         http://198.18.0.1:2379, prefix /podlane/network, answered 3s ago
kernel       verified 2s ago; repairs: 12
repaired     1m0s ago: add route 10.5.35.0/24
dropped      7 packets: vxlan not from a peer
skipped      10.5.37.0-24: MAC is zero
skipped      3 more

PEER  POD SUBNET  PUBLIC ADDRESS  VERSION  STATE
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := c.status.Print(&b, noon); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, "\n"+b.String()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeaseAsText(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.5.34.0/24")}
	for want, l := range map[string]Lease{
		"none yet":                                     {},
		"10.5.34.0/24, NOT HELD in etcd":               {Subnet: own},
		"10.5.34.0/24, reserved: it never expires":     {Subnet: own, Held: true},
		"10.5.34.0/24, valid for 1h30m0s without etcd": {Subnet: own, Held: true, Expiry: noon.Add(90*time.Minute + time.Second)},
	} {
		if got := (Status{Lease: l}).leaseText(noon); got != want {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
}

func TestKubernetesStoreAsText(t *testing.T) {
	held, away := inKubernetes(), inKubernetes()
	away.Lease.Held = false
	away.Kubernetes.Connected = false
	for name, c := range map[string]struct {
		status Status
		want   []string
	}{
		"connected":     {held, []string{"lease        10.5.34.0/24, the podCIDR of this node's Node", "kubernetes   podlane-kube v1 is connected, answered 3s ago"}},
		"not connected": {away, []string{"lease        10.5.34.0/24, NOT HELD in the Kubernetes API", "kubernetes   podlane-kube is NOT CONNECTED, answered 3s ago"}},
	} {
		var b strings.Builder
		if err := c.status.Print(&b, noon); err != nil {
			t.Fatal(err)
		}
		for _, line := range c.want {
			if !strings.Contains(b.String(), line+"\n") {
				t.Errorf("%s: no line %q in\n%s", name, line, &b)
			}
		}
		if strings.Contains(b.String(), "etcd") {
			t.Errorf("%s: etcd is named:\n%s", name, &b)
		}
	}
}

func TestAdviceIfPodlanedDoesNotAnswer(t *testing.T) {
	for err, want := range map[error]string{
		fs.ErrPermission: "run it as root",
		fs.ErrNotExist:   "is it running? See `systemctl status podlaned`",
	} {
		if got := advice(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
