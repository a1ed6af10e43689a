package machines

import (
	"fmt"
	"net"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/tests/cluster"
)

// What happens to podlaned on a machine costs no pod a packet. A machine that boots costs the others none. Afterwards
// systemd shows podlaned as active.
func TestBareMetal(t *testing.T) {
	b := makeBed(t, 3)
	pods := b.start(t)
	m := b.machines[2]
	for _, c := range []struct {
		name string
		pods []*pod // they must lose nothing
		do   func(*testing.T)
	}{
		{"the unit is verified", pods, func(t *testing.T) { expectGoodUnit(t, b.machines[0]) }},
		{"etcd is a container of the machine", pods, func(t *testing.T) { expectNoCycle(t, b.machines[0]) }},
		{"networkd and udev leave its devices alone", pods, func(t *testing.T) { expectUnmanagedDevices(t, m) }},
		{"podlaned is killed", pods, func(t *testing.T) { m.expectRestart(t, "KILL") }},
		{"podlaned hangs, and the watchdog notices", pods, func(t *testing.T) { m.expectRestart(t, "STOP") }},
		{"podlaned is restarted", pods, func(t *testing.T) { m.sh(t, "systemctl restart podlaned.service") }},
		{"podlaned is stopped for a time", pods, func(t *testing.T) { stopAndStart(t, m, pods[0]) }},
		{"the configuration is reloaded", pods, func(t *testing.T) { reload(t, m) }},
		{"the package is upgraded", pods, func(t *testing.T) { upgrade(t, m) }},
		{"the machine boots", pods[:2], func(t *testing.T) { rebootMachine(t, m, pods) }},
		{"the machine crashes", pods[:2], func(t *testing.T) { crash(t, m) }},
		{"the package is removed", pods[:2], func(t *testing.T) { removePackage(t, m) }},
		{"the archive is installed, and uninstalled", pods[:2], func(t *testing.T) { installArchive(t, b, m) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			traffic := startFlood(t, c.pods...)
			c.do(t)
			for _, m := range b.machines[:2] {
				m.awaitReady(t, 2)
			}
			traffic.expectNothingLost(t)
		})
	}
}

// expectRestart sends podlaned a signal that ends or stops it, and waits until systemd has started it again.
func (m *machine) expectRestart(t *testing.T, signal string) {
	t.Helper()
	before := m.unit(t, "MainPID")
	m.sh(t, "systemctl kill --signal="+signal+" podlaned.service")
	m.awaitUnit(t, "MainPID", func(pid string) bool { return pid != before && pid != "0" })
	m.awaitReady(t, 2)
}

// stopAndStart attaches and detaches a pod while podlaned does not run. The node file is enough.
func stopAndStart(t *testing.T, m *machine, other *pod) {
	m.sh(t, "systemctl stop podlaned.service")
	p := m.addPod(t, "meanwhile")
	startFlood(t, p, other).expectNothingLost(t)
	p.detach(t)
	m.sh(t, "systemctl start podlaned.service")
	m.awaitReady(t, 2)
}

func reload(t *testing.T, m *machine) {
	before := m.unit(t, "MainPID")
	settings := "etcd-endpoints: [http://198.18.0.1:2379]\n"
	m.configure(t, settings+"http: 127.0.0.1:9500\n")
	m.sh(t, "systemctl reload podlaned.service")
	cluster.Until(t, soon, "podlaned listens on the new address", func() (bool, string) {
		err := m.Do(func() error {
			c, err := net.Dial("tcp", "127.0.0.1:9500")
			if err == nil {
				err = c.Close()
			}
			return err
		})
		return err == nil, fmt.Sprint(err)
	})
	m.awaitReady(t, 2)

	m.configure(t, settings+"no-such-key: 1\n")
	m.sh(t, "systemctl reload podlaned.service")
	m.awaitUnit(t, "StatusText", func(text string) bool { return strings.Contains(text, `unknown key "no-such-key"`) })
	m.configure(t, settings)
	m.sh(t, "systemctl reload podlaned.service")
	m.awaitReady(t, 2)
	if after := m.unit(t, "MainPID"); after != before {
		t.Errorf("process id of podlaned after the reloads: %s, want %s as before", after, before)
	}
}

func upgrade(t *testing.T, m *machine) {
	settings := m.sh(t, "cat /etc/podlane/podlaned.yaml")
	before := m.unit(t, "MainPID")
	m.install(t, secondVersion)
	m.awaitReady(t, 2)
	if after := m.unit(t, "MainPID"); after == before {
		t.Error("the old podlaned still runs")
	}
	if out := m.sh(t, "podlaned status --json"); !strings.Contains(out, `"version": "`+secondVersion+`"`) {
		t.Errorf("podlaned is not of version %s: %s", secondVersion, out)
	}
	if diff := gocmp.Diff(settings, m.sh(t, "cat /etc/podlane/podlaned.yaml")); diff != "" {
		t.Errorf("the configuration (-before +after the upgrade):\n%s", diff)
	}
}

// rebootMachine shuts the machine down and boots it. Its pods are gone, and their addresses are freed as a runtime
// does. A new pod must reach the others' pods.
func rebootMachine(t *testing.T, m *machine, pods []*pod) {
	cluster.Check(t, m.reboot(cluster.Bounded(t, soon)))
	m.awaitReady(t, 2)
	p := pods[2]
	p.args.NetNS = ""
	p.detach(t)
	startFlood(t, pods[0], pods[1], m.addPod(t, "booted")).expectNothingLost(t)
}

// crash cuts the machine's power and boots it.
func crash(t *testing.T, m *machine) {
	m.kill()
	cluster.Check(t, m.Reboot(cluster.Within(t)))
	cluster.Check(t, m.boot(cluster.Bounded(t, soon)))
	m.awaitReady(t, 2)
}
