package machines

import (
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/authority"
	"github.com/podlane/podlane/tests/cluster"
)

// etcd cannot be used. The unit reports why in one line, stays up and tries again. Units that wait for it at boot start
// after 30 s. Once the cause is gone, the node is ready by itself.
func TestUnitReportsWhyItIsNotReady(t *testing.T) {
	b := makeBed(t, 1)
	m := b.machines[0]
	m.install(t, firstVersion)
	began := time.Now()
	m.expectNotReady(t, "etcd: etcd does not answer at http://127.0.0.1:2379", "connection refused")
	if state := m.unit(t, "ActiveState"); state != "activating" {
		t.Errorf("unit without etcd: %s, want activating, so that other units wait", state)
	}
	cluster.Until(t, 35*time.Second, "the unit is active", func() (bool, string) {
		state := m.unit(t, "ActiveState")
		return state == "active", state
	})
	t.Logf("without etcd the unit was active %v after the installation", time.Since(began).Round(time.Second))

	pid, now := m.unit(t, "MainPID"), time.Now()
	ca, wrong := authority.New(t, "the cluster's CA", 48*time.Hour), authority.New(t, "another CA", 48*time.Hour)
	for _, c := range []struct {
		name           string
		ca             authority.Signed
		server, client time.Time // the certificates are valid from then on, for a day
		want           string    // empty: it is ready
	}{
		{"wrong CA", wrong, now.Add(-time.Hour), now.Add(-time.Hour), "certificate signed by unknown authority"},
		{"the client's certificate has expired", ca, now.Add(-time.Hour), now.Add(-25 * time.Hour), "tls: expired certificate"},
		{"etcd's certificate has expired", ca, now.Add(-25 * time.Hour), now.Add(-time.Hour), " is after "},
		{"the node's clock is behind", ca, now.Add(time.Hour), now.Add(-time.Hour), " is before "},
		{"all is well", ca, now.Add(-time.Hour), now.Add(-time.Hour), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer startTLSProxy(t, issue(t, ca, "etcd", c.server), ca)()
			client := issue(t, ca, "n1", c.client)
			m.write(t, "/etc/podlane/ca.pem", string(c.ca.CertPEM))
			m.write(t, "/etc/podlane/client.pem", string(client.CertPEM))
			m.write(t, "/etc/podlane/client.key", string(client.KeyPEM))
			m.configure(t, `etcd-endpoints: [https://`+tlsProxyAddr+`]
etcd-cafile: /etc/podlane/ca.pem
etcd-certfile: /etc/podlane/client.pem
etcd-keyfile: /etc/podlane/client.key
`)
			m.sh(t, "systemctl reload podlaned.service")
			if c.want == "" {
				m.awaitReady(t, 0)
			} else {
				m.expectNotReady(t, "etcd: etcd does not answer at https://"+tlsProxyAddr, c.want)
			}
			if after := m.unit(t, "MainPID"); after != pid {
				t.Errorf("process id of podlaned: %s, want %s as before", after, pid)
			}
		})
	}
	out, err := m.run(cluster.Within(t), "podlaned", "run")
	if err == nil || !strings.Contains(out, "another podlaned runs on this node: ") {
		t.Errorf("second podlaned on the node: error %v, want that it is refused: %s", err, out)
	}
	m.awaitReady(t, 0)
}

// expectNotReady waits until the unit's status line contains these words, and expects `podlaned status` to fail.
func (m *machine) expectNotReady(t *testing.T, words ...string) {
	t.Helper()
	m.awaitUnit(t, "StatusText", func(text string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return strings.HasPrefix(text, "not ready: ")
	})
	t.Log(m.unit(t, "StatusText"))
	if out, err := m.run(cluster.Within(t), "podlaned", "status"); err == nil {
		t.Errorf("podlaned status: want an error: %s", out)
	}
}
