package machines

import (
	"strings"
	"testing"
)

// expectGoodUnit holds that systemd finds nothing wrong with the unit, and its exposure to be 2.5 at most.
func expectGoodUnit(t *testing.T, m *machine) {
	t.Helper()
	if out := m.sh(t, "systemd-analyze verify podlaned.service 2>&1"); out != "" {
		t.Errorf("systemd-analyze verify says: %s", out)
	}
	out := m.sh(t, "systemd-analyze security --no-pager --threshold=25 podlaned.service")
	t.Log(out[strings.LastIndex(out, "\n")+1:])
	for _, before := range []string{"docker", "containerd", "crio", "podman", "kubelet"} {
		if !strings.Contains(m.unit(t, "Before"), before+".service") {
			t.Errorf("the unit is not ordered before %s", before)
		}
	}
}

// networkd starts systemd-networkd, whose configuration lays claim to every interface, and holds that podlaned's is not
// its to manage, and that udev would not give it another MAC address.
func networkd(t *testing.T, m *machine) {
	m.write(t, "/etc/systemd/network/90-all.network", "[Match]\nName=*\n[Network]\nLinkLocalAddressing=no\nKeepConfiguration=yes\n")
	m.sh(t, "systemctl start systemd-networkd.service")
	if out := m.sh(t, "networkctl --no-pager --no-legend list podlane.1"); !strings.Contains(out, "unmanaged") {
		t.Errorf("networkd on podlane.1: %s", out)
	}
	if out := m.sh(t, "networkctl --no-pager status podlane.1"); !strings.Contains(out, "/60-podlane.network") {
		t.Errorf("networkd has podlane.1 from another file: %s", out)
	}
	if out := m.sh(t, "udevadm test-builtin net_setup_link /sys/class/net/podlane.1 2>&1"); !strings.Contains(out, "ID_NET_LINK_FILE=/lib/systemd/network/60-podlane.link") &&
		!strings.Contains(out, "ID_NET_LINK_FILE=/usr/lib/systemd/network/60-podlane.link") {
		t.Errorf("udev takes another file for podlane.1: %s", out)
	}
	m.sh(t, "systemctl stop systemd-networkd.service systemd-networkd.socket; rm /etc/systemd/network/90-all.network")
}
