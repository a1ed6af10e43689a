package machines

import (
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// others is what is not podlane's on a machine, though it looks like it, and a mistake in the settings, which removes nothing less.
const others = `
ip link add vx7 type vxlan id 7 dstport 4790
ip route add 192.0.2.0/24 via 198.18.0.1 proto 113
mkdir -p /etc/cni/net.d /etc/podlane
echo '{}' >/etc/cni/net.d/99-other.conflist
echo secret >/etc/podlane/etcd-ca.pem
echo 'no-such-key: 1' >>/etc/podlane/podlaned.yaml
`

// removes removes and purges the package, which leaves nothing of podlane and all of the others.
func removes(t *testing.T, m *machine) {
	m.sh(t, others)
	m.sh(t, "dpkg --remove podlane")
	m.expectNothingInTheKernel(t)
	for _, kept := range []string{"/etc/podlane/podlaned.yaml", "/etc/podlane/etcd-ca.pem"} {
		m.sh(t, "test -e "+kept)
	}
	m.sh(t, "dpkg --purge podlane")
	m.expectNothingLeft(t, "/etc/podlane", "/etc/podlane/etcd-ca.pem")
	m.sh(t, "ip link show dev vx7; ip route show proto 113 | grep 192.0.2.0/24; grep secret /etc/podlane/etcd-ca.pem; rm -r /etc/podlane")
}

// installs runs install.sh of the archive, twice as for an upgrade, and takes everything away again with it.
func installs(t *testing.T, b *bed, m *machine) {
	m.sh(t, "rm -f /root/podlane*")
	archive := m.give(t, packageFile(t, firstVersion, "*.tar.gz"))
	m.sh(t, "tar -xzf "+archive+" -C /root; rm "+archive+"; mv /root/podlane-* /root/unpacked; /root/unpacked/install.sh")
	m.configure(t, b.settings())
	m.sh(t, "systemctl restart podlaned.service")
	m.awaitReady(t, 2)
	m.sh(t, "/root/unpacked/install.sh")
	m.awaitReady(t, 2)
	expectGoodUnit(t, m)
	m.sh(t, "/root/unpacked/install.sh uninstall")
	m.expectNothingInTheKernel(t)
	m.expectNothingLeft(t, "/etc/podlane", "/etc/podlane/podlaned.yaml")
	replaces(t, m)
	m.sh(t, "rm -r /root/unpacked")
	m.expectNothingInTheKernel(t)
	m.expectNothingLeft(t, "/etc/podlane", "/etc/podlane/podlaned.yaml")
}

// replaces installs the package in the place of the archive: it says what is in the way, and goes on when that is taken away.
func replaces(t *testing.T, m *machine) {
	m.sh(t, "/root/unpacked/install.sh")
	m.awaitReady(t, 2)
	file := m.give(t, packageFile(t, secondVersion, "*.deb"))
	if out := m.sh(t, "dpkg --force-confold --install "+file+" 2>&1"); !strings.Contains(out, "run install.sh uninstall") {
		t.Errorf("the package does not say that it is not in use: %s", out)
	}
	m.awaitReady(t, 2)
	before := m.unit(t, "MainPID")
	m.sh(t, "/root/unpacked/install.sh uninstall")
	m.awaitUnit(t, "MainPID", func(pid string) bool { return pid != before && pid != "0" })
	m.awaitReady(t, 2)
	if out := m.sh(t, "podlaned status --json; ls /opt/cni/bin/podlane-cni /usr/sbin/podlaned; systemctl is-enabled podlaned.service"); !strings.Contains(out, `"version": "`+secondVersion+`"`) {
		t.Errorf("podlaned is not of version %s: %s", secondVersion, out)
	}
	m.sh(t, "dpkg --purge podlane; mkdir -p /etc/podlane")
}

// expectNothingInTheKernel looks for what podlaned makes.
func (m *machine) expectNothingInTheKernel(t *testing.T) {
	t.Helper()
	for _, look := range []string{
		"ip -o link show type vxlan", "ip -4 route show table all proto 112", "ip -6 route show table all proto 112", "nft list tables",
	} {
		out := cluster.Run(t, m.Place, look)
		for line := range strings.Lines(out) {
			if !strings.Contains(line, " vx7:") {
				t.Errorf("%s: left in the kernel: %s: %s", m.Name, look, line)
			}
		}
	}
}

// expectNothingLeft looks for files that podlane's names are in. The addresses that host-local gave out are that
// plugin's, under the name of the network.
func (m *machine) expectNothingLeft(t *testing.T, but ...string) {
	t.Helper()
	m.expectNothingInTheKernel(t)
	found := m.sh(t, "find / -xdev -name '*podlane*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/lib/cni/networks/*'; find /run /etc/podlane -name '*podlane*'")
	for file := range strings.Lines(found) {
		file = strings.TrimSpace(file)
		if !slices.Contains(but, file) && file != "/etc/systemd/system/podlaned.service.d" {
			t.Errorf("%s: left: %s", m.Name, file)
		}
	}
	m.sh(t, "test -e /etc/cni/net.d/99-other.conflist")
}
