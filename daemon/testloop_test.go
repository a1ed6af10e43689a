package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/podlane/podlane/backend"
	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
	"github.com/podlane/podlane/underlay"
)

// fakeBackend is a backend with only an MTU, for tests of the loop around it.
type fakeBackend struct{ backend.Backend }

func (fakeBackend) MTU() int { return 1450 }

// newTestLoop returns a loop without a kernel, and its log.
func newTestLoop(t *testing.T) (*loop, *strings.Builder) {
	t.Helper()
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	dir := t.TempDir()
	d := newDaemon(config{
		store: storeEtcd, etcd: settings.Etcd{Prefix: "/p", Endpoints: settings.List{"http://a"}}, runDir: filepath.Join(dir, "run"), stateDir: filepath.Join(dir, "state"),
		nodeID: "a", nodeName: "n1", ipMasq: true, resync: 30 * time.Second,
	}, log)
	iface := underlay.Interface{Name: "eth0", Index: 2, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.1.1/16")}}
	return newLoop(d, iface, savedState{}), &out
}

// newReadyLoop returns such a loop with a backend, a verified kernel and written files. It has received the state.
func newReadyLoop(t *testing.T, peers ...int) (*loop, *strings.Builder) {
	t.Helper()
	l, out := newTestLoop(t)
	l.receive(stateWithPeers(t, l, peers...))
	l.backend, l.kernel.verified, l.files.written = fakeBackend{}, time.Now(), true
	return l, out
}

// stateWithPeers returns a state with the own lease, 10.5.34.0/24, and those of some peers.
func stateWithPeers(t *testing.T, l *loop, peers ...int) store.State {
	t.Helper()
	network := parseNetwork(t, `{"Network":"10.5.0.0/16"}`)
	lease := func(self subnet.Self, i int) subnet.Lease {
		return self.Lease(network, subnet.Pair{IPv4: netip.MustParsePrefix(fmt.Sprintf("10.5.%d.0/24", i))}, subnet.Lease{})
	}
	s := store.State{Config: []byte(`{"Network":"10.5.0.0/16"}`), Network: network, Own: lease(l.underlay.self, 34), Held: true, Seen: time.Now()}
	s.Set = subnet.Set{Revision: 9, Records: []subnet.Record{{Lease: s.Own, Created: 1}}}
	for _, i := range peers {
		self := subnet.Self{Node: subnet.Node{ID: fmt.Sprint(i), Name: fmt.Sprint("n", i)}, PublicIP: netip.MustParseAddr(fmt.Sprint("198.18.1.", i))}
		s.Set.Records = append(s.Set.Records, subnet.Record{Lease: lease(self, i), Created: int64(i)})
	}
	return s
}

// withOwnSubnet returns the state with another pod subnet of this node.
func withOwnSubnet(s store.State, self subnet.Self, prefix string) store.State {
	s.Own = self.Lease(s.Network, subnet.Pair{IPv4: netip.MustParsePrefix(prefix)}, subnet.Lease{})
	return s
}

func parseNetwork(t *testing.T, config string) subnet.Network {
	t.Helper()
	network, _, err := subnet.ParseNetwork([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return network
}

// failedChecks returns the names of the checks that do not hold.
func failedChecks(s status.Status) (names []string) {
	for _, c := range s.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

// makeFile makes an empty file with this mode.
func makeFile(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
