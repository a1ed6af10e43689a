package machines

import (
	"slices"
	"strings"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// otherPrograms sets up what looks like podlane's but is not. It also writes a wrong setting, which must not stop the
// removal.
const otherPrograms = `
ip link add vx7 type vxlan id 7 dstport 4790
ip route add 192.0.2.0/24 via 198.18.0.1 proto 113
mkdir -p /etc/cni/net.d /etc/podlane
echo '{}' >/etc/cni/net.d/99-other.conflist
echo secret >/etc/podlane/etcd-ca.pem
echo 'no-such-key: 1' >>/etc/podlane/podlaned.yaml
`

// removePackage removes and purges the package. Nothing of podlane is left, and all of the other programs.
func removePackage(t *testing.T, m *machine) {
	m.sh(t, otherPrograms)
	m.sh(t, "dpkg --remove podlane")
	m.expectNothingInTheKernel(t)
	for _, kept := range []string{"/etc/podlane/podlaned.yaml", "/etc/podlane/etcd-ca.pem"} {
		m.sh(t, "test -e "+kept)
	}
	m.sh(t, "dpkg --purge podlane")
	m.expectNothingLeft(t, "/etc/podlane", "/etc/podlane/etcd-ca.pem")
	m.sh(t, "ip link show dev vx7; ip route show proto 113 | grep 192.0.2.0/24; grep secret /etc/podlane/etcd-ca.pem; rm -r /etc/podlane")
}

// installArchive runs install.sh of the archive twice, as for an upgrade, and then uninstalls with it.
func installArchive(t *testing.T, b *bed, m *machine) {
	m.sh(t, "rm -f /root/podlane*")
	archive := m.copyIn(t, packageFile(t, firstVersion, "*.tar.gz"))
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
	replaceArchive(t, m)
	m.sh(t, "rm -r /root/unpacked")
	m.expectNothingInTheKernel(t)
	m.expectNothingLeft(t, "/etc/podlane", "/etc/podlane/podlaned.yaml")
}

// replaceArchive installs the package over the archive's files. It reports what is in the way, and works after the
// removal.
func replaceArchive(t *testing.T, m *machine) {
	m.sh(t, "/root/unpacked/install.sh")
	m.awaitReady(t, 2)
	file := m.copyIn(t, packageFile(t, secondVersion, "*.deb"))
	if out := m.sh(t, "dpkg --force-confold --install "+file+" 2>&1"); !strings.Contains(out, "run install.sh uninstall") {
		t.Errorf("the package does not report that it is not in use: %s", out)
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

// expectNothingInTheKernel expects that nothing of podlaned is left in the kernel.
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

// expectNothingLeft expects no file with podlane's name. host-local's addresses are the exception: it keeps them under
// the network's name.
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
