package machines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

const (
	// scripts is the folder of the scripts that provision a machine of the Vagrant lab.
	scripts = "../../dist/vagrant"
	// etcdPackage is Debian's etcd-server.
	etcdPackage = "../../bin/_etcd.deb"
)

// etcdArchive makes the copied package the only one that apt can find.
const etcdArchive = `
mkdir /srv/debs
mv /root/_etcd.deb /srv/debs/
cd /srv/debs
{
	dpkg-deb --field _etcd.deb
	echo "Filename: ./_etcd.deb"
	echo "Size: $(stat --format=%s _etcd.deb)"
	echo "SHA256: $(sha256sum _etcd.deb | cut -d ' ' -f 1)"
} >Packages
echo 'deb [trusted=yes] file:/srv/debs ./' >/etc/apt/sources.list`

// startLate starts podlaned in two seconds, as after a boot without a node file.
const startLate = `
systemctl stop podlaned.service
rm /run/podlane/subnet.env
systemd-run --quiet --collect --on-active=2 --timer-property=AccuracySec=1ms systemctl start podlaned.service`

// The scripts of `vagrant up` make a pod network of machines with VirtualBox's interfaces. Their table shows whether it
// works.
func TestVagrantLab(t *testing.T) {
	b := makeBed(t, 3)
	first := b.machines[0]
	for _, m := range b.machines {
		m.addNATInterface(t)
	}
	first.copyIn(t, etcdPackage)
	first.sh(t, etcdArchive)
	first.provision(t, "etcd.sh", first.Addr.String())
	for i, m := range b.machines {
		file := m.copyIn(t, packageFile(t, firstVersion, "*.deb"))
		m.provision(t, "node.sh", file, first.Addr.String(), "198.18.0.0/16")
		m.provision(t, "pod.sh", fmt.Sprint("p", i+1))
	}
	for _, m := range b.machines {
		m.awaitReady(t, 2)
		if out := m.sh(t, "podlaned status --json"); !strings.Contains(out, `"interface": "eth1"`) {
			t.Errorf("%s: podlaned did not choose the private network: %s", m.Name, out)
		}
		m.sh(t, "ip -d link show podlane.1 | grep 'local "+m.Addr.String()+" '")
	}
	b.expectTable(t, true,
		"from                      to     p1     p2     p3\n",
		"ok      pod to pod                       6 of 6     0.",
		"ok      node to a pod of another node    6 of 6     0.",
		"ok      pod to its own node              3 of 3     0.",
		"ok      pod to outside, masqueraded      6 of 6     another node sees the node\n",
		"ok      source address kept              6 of 6     a pod sees the other pod itself\n",
	)

	// The table names the failed pairs. It is correct again after machines are provisioned once more.
	p3 := b.machines[2].sh(t, "ip -n p3 -4 -o address show dev eth0 | sed 's#.* inet ##; s#/.*##'")
	first.sh(t, "ip route add unreachable "+p3)
	b.expectTable(t, false,
		"FAILED  pod to pod                       4 of 6 ",
		"p1 to p3: ping "+p3+": 1 packets transmitted, 0 received",
		"n1 to p3: ping "+p3+": ping: connect: No route to host",
		"p1 to p3: the source address seen is nothing: no answer from "+p3+", not 10.5.",
	)
	first.sh(t, "ip route del unreachable "+p3)
	first.provision(t, "etcd.sh", first.Addr.String())
	b.machines[2].sh(t, startLate)
	b.machines[2].provision(t, "pod.sh", "p3")
	b.expectTable(t, true, "ok      pod to pod                       6 of 6 ")
}

// addNATInterface gives the machine VirtualBox's first interface. It has the same address in every guest and the
// default route, but reaches no other guest. The underlay is the second interface.
func (m *machine) addNATInterface(t *testing.T) {
	t.Helper()
	nat, err := sandbox.New("nat-" + m.Name)
	cluster.Check(t, err)
	t.Cleanup(func() { cluster.Check(t, nat.Delete()) })
	for _, line := range []string{
		"ip link set eth0 netns " + nat.Name,
		"ip link add eth0 index 2 type veth peer name nat0 netns " + nat.Name,
		"ip address add 10.0.2.15/24 dev eth0",
		"ip link set eth0 up",
		"ip -n " + nat.Name + " address add 10.0.2.2/24 dev nat0",
		"ip -n " + nat.Name + " link set nat0 up",
		"ip route add default via 10.0.2.2",
		"ip -n " + nat.Name + " link set eth0 name eth1 netns " + m.Name,
		"ip address add " + m.Addr.String() + "/16 dev eth1",
		"ip link set eth1 up",
	} {
		cluster.Run(t, m.Place, line)
	}
	if addrs := cluster.Run(t, m.Place, "ip -brief -4 address show scope global"); !strings.HasPrefix(addrs, "eth0") || !strings.Contains(addrs, "\neth1") {
		t.Fatalf("%s: want the addresses of VirtualBox: %s", m.Name, addrs)
	}
}

// provision runs a script in the machine, as Vagrant does.
func (m *machine) provision(t *testing.T, script string, args ...string) {
	t.Helper()
	began := time.Now()
	m.sh(t, strings.Join(append([]string{"sh", m.copyIn(t, filepath.Join(scripts, script))}, args...), " "))
	t.Logf("%s: %s took %v", m.Name, script, time.Since(began).Round(time.Millisecond))
}

// expectTable runs the table and expects these texts in it. Its exit code must be 0 exactly if ok is true.
func (b *bed) expectTable(t *testing.T, ok bool, texts ...string) {
	t.Helper()
	on := "#!/bin/sh\nnode=$1\nshift\ncase $node in\n"
	var names []string
	ctx := cluster.Bounded(t, time.Minute)
	for _, m := range b.machines {
		names = append(names, m.Name)
		on += fmt.Sprintf("%s) exec %s \"$@\" ;;\n", m.Name, strings.Join(m.command(ctx).Args, " "))
	}
	file := filepath.Join(t.TempDir(), "on")
	cluster.Check(t, os.WriteFile(file, []byte(on+"esac\n"), 0o755))
	cmd := exec.CommandContext(ctx, filepath.Join(scripts, "table.sh"), names...)
	cmd.Env = append(os.Environ(), "ON="+file)
	out, err := cmd.CombinedOutput()
	t.Logf("\n%s", out)
	if (err == nil) != ok {
		t.Errorf("table.sh: error %v, want success: %v", err, ok)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			t.Errorf("no %q in the table", text)
		}
	}
}
