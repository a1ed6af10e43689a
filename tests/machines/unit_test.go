package machines

import (
	"strings"
	"testing"
)

// expectGoodUnit expects that systemd finds no error in the unit. Its exposure must be at most 2.5.
func expectGoodUnit(t *testing.T, m *machine) {
	t.Helper()
	if out := m.sh(t, "systemd-analyze verify podlaned.service 2>&1"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out := m.sh(t, "systemd-analyze security --no-pager --threshold=25 podlaned.service")
	t.Log(out[strings.LastIndex(out, "\n")+1:])
	for _, before := range []string{"docker", "containerd", "crio", "podman", "kubelet"} {
		if !strings.Contains(m.unit(t, "Before"), before+".service") {
			t.Errorf("the unit is not ordered before %s", before)
		}
	}
}

// etcd is a container of this node, as some installers make it. It starts after docker.service, which waits for
// podlaned.
const containedEtcd = `
printf '[Unit]\nWants=docker.service\nAfter=docker.service\n[Service]\nExecStart=true\n' >/etc/systemd/system/etcd.service
printf '[Service]\nExecStart=true\n' >/etc/systemd/system/docker.service
ln -s ../etcd.service /etc/systemd/system/multi-user.target.wants/etcd.service
systemd-analyze verify multi-user.target 2>&1 | grep cycle || true
rm /etc/systemd/system/etcd.service /etc/systemd/system/docker.service /etc/systemd/system/multi-user.target.wants/etcd.service
`

// expectNoCycle expects that systemd starts everything if etcd waits for a unit that waits for podlaned.
func expectNoCycle(t *testing.T, m *machine) {
	t.Helper()
	if out := m.sh(t, containedEtcd); out != "" {
		t.Errorf("with etcd in a container: %s", out)
	}
}

// expectUnmanagedDevices starts systemd-networkd with a configuration that matches podlaned's device, the bridge and
// the links of the pods. networkd must not manage them, and udev must not change the device's MAC address.
func expectUnmanagedDevices(t *testing.T, m *machine) {
	m.write(t, "/etc/systemd/network/90-all.network", "[Match]\nKind=vxlan bridge veth\n[Network]\nLinkLocalAddressing=ipv6\n")
	m.sh(t, "systemctl start systemd-networkd.service")
	m.sh(t, "ip link show cni0 && ip link show type veth | grep veth")
	m.sh(t, `for d in podlane.1 cni0 $(ip -o link show type veth | sed -n 's/^[0-9]*: \(veth[^@:]*\).*/\1/p'); do
	networkctl --no-pager --no-legend list $d | grep unmanaged || exit 1
done`)
	m.sh(t, "systemctl stop systemd-networkd.socket systemd-networkd.service; rm /etc/systemd/network/90-all.network")
	// The machine's /sys shows the devices of another network namespace.
	m.sh(t, "unshare --mount sh -c 'mount -t sysfs sysfs /sys; udevadm test-builtin net_setup_link /sys/class/net/podlane.1 2>&1' | grep '^ID_NET_LINK_FILE=.*/60-podlane.link$'")
}
