package bridge

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
)

// FuzzRead parses messages that no kernel sends.
func FuzzRead(f *testing.F) {
	ifinfo := func(kind, flags byte) []byte {
		return []byte{unix.AF_UNSPEC, 0, 1, 0, 7, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0,
			9, 0, unix.IFLA_IFNAME, 0, 'c', 'n', 'i', '0', 0, 0, 0, 0,
			20, 0, unix.IFLA_LINKINFO, 0, 11, 0, unix.IFLA_INFO_KIND, 0, kind, 'r', 'i', 'd', 'g', 'e', 0, 0, 4, 0, unix.IFLA_INFO_DATA, 0}
	}
	f.Add(uint16(unix.RTM_NEWLINK), ifinfo('b', unix.IFF_UP))
	f.Add(uint16(unix.RTM_NEWLINK), ifinfo('x', 0))
	f.Add(uint16(unix.RTM_NEWADDR), []byte{unix.AF_INET, 24, 0, 0, 7, 0, 0, 0, 8, 0, unix.IFA_LOCAL, 0, 10, 5, 1, 1})
	f.Fuzz(func(t *testing.T, kind uint16, body []byte) {
		var s snapshot
		s.addLink(rtnl.Message{Type: kind, Body: body})
		for _, d := range s.bridges {
			next(nil, nil, s, both)
			_ = d.visible
		}
		if p, _, ok := parseAddress(rtnl.Message{Type: kind, Body: body}); ok && !p.IsValid() {
			t.Errorf("got the invalid address %v", p)
		}
	})
}

func TestParseLinkMessage(t *testing.T) {
	var s snapshot
	body := []byte{unix.AF_UNSPEC, 0, 1, 0, 7, 0, 0, 0, unix.IFF_UP, 0, 0, 0, 0, 0, 0, 0,
		9, 0, unix.IFLA_IFNAME, 0, 'c', 'n', 'i', '0', 0, 0, 0, 0,
		28, 0, unix.IFLA_LINKINFO, 0, 11, 0, unix.IFLA_INFO_KIND, 0, 'b', 'r', 'i', 'd', 'g', 'e', 0, 0,
		12, 0, unix.IFLA_INFO_DATA, 0, 5, 0, unix.IFLA_BR_NF_CALL_IPTABLES, 0, 1, 0, 0, 0}
	s.addLink(rtnl.Message{Type: unix.RTM_NEWLINK, Body: body})
	want := snapshot{bridges: []device{{name: "cni0", index: 7, up: true, visible: [2]bool{true, false}}}}
	if diff := gocmp.Diff(want, s, gocmp.AllowUnexported(snapshot{}, device{}, port{})); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}
