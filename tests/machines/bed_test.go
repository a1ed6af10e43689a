package machines

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// bed is machines on the lab's underlay, with the lab's etcd.
type bed struct {
	*lab.Lab
	machines []*machine
}

// makeBed boots machines without podlane.
func makeBed(t *testing.T, count int) *bed {
	t.Helper()
	b := &bed{Lab: cluster.Build(t, lab.Options{Nodes: count})}
	cluster.Check(t, b.SetConfig(cluster.Within(t), lab.DefaultConfig))
	for _, n := range b.Nodes {
		b.machines = append(b.machines, makeMachine(t, n))
	}
	began := time.Now()
	b.each(t, func(ctx context.Context, m *machine) error { return m.boot(ctx) })
	t.Logf("%d machines are up after %v", count, time.Since(began).Round(time.Millisecond))
	return b
}

// each calls a function for all machines at the same time.
func (b *bed) each(t *testing.T, do func(context.Context, *machine) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(cluster.Bounded(t, time.Minute))
	for _, m := range b.machines {
		g.Go(func() error { return do(ctx, m) })
	}
	cluster.Check(t, g.Wait())
}

// settings returns the part of a configuration that every machine needs.
func (b *bed) settings() string {
	return fmt.Sprintf("etcd-endpoints: [%s]\n", strings.Join(b.Etcd.Endpoints(), ", "))
}

// start installs and configures the first version on all machines. It attaches a pod to each.
func (b *bed) start(t *testing.T) (pods []*pod) {
	t.Helper()
	for _, m := range b.machines {
		m.write(t, "/etc/systemd/system/podlaned.service.d/test.conf", "[Service]\nWatchdogSec=3s\n")
		m.install(t, firstVersion)
		m.configure(t, b.settings())
		m.sh(t, "systemctl restart podlaned.service")
	}
	for i, m := range b.machines {
		m.awaitReady(t, len(b.machines)-1)
		pods = append(pods, m.addPod(t, fmt.Sprint("p", i+1)))
	}
	return pods
}

// unit returns a property of podlaned.service from systemd.
func (m *machine) unit(t *testing.T, property string) string {
	t.Helper()
	return m.sh(t, "systemctl show --value --property "+property+" podlaned.service")
}

// awaitUnit waits until a property of podlaned.service meets a condition.
func (m *machine) awaitUnit(t *testing.T, property string, fits func(value string) bool) {
	t.Helper()
	cluster.Until(t, soon, m.Name+": podlaned.service: "+property, func() (bool, string) {
		value := m.unit(t, property)
		return fits(value), value
	})
}

// awaitReady waits until podlaned is ready with this number of peers. systemd must show the unit as active.
func (m *machine) awaitReady(t *testing.T, peers int) {
	t.Helper()
	m.awaitUnit(t, "StatusText", func(text string) bool {
		return strings.HasPrefix(text, "ready: pod subnet 10.5.") && strings.HasSuffix(text, fmt.Sprintf(", %d peers", peers))
	})
	m.awaitUnit(t, "ActiveState", func(state string) bool { return state == "active" })
}

// flood is streams between pods.
type flood []*stream.Stream

// startFlood starts a stream between every two pods.
func startFlood(t *testing.T, pods ...*pod) (f flood) {
	t.Helper()
	for i, a := range pods {
		for _, b := range pods[i+1:] {
			f = append(f, cluster.StartStream(t, stream.End{Place: a, Addr: a.addr}, stream.End{Place: b, Addr: b.addr}))
		}
	}
	return f
}

// expectNothingLost ends the streams and expects no loss.
func (f flood) expectNothingLost(t *testing.T) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	var sum stream.Result
	for _, s := range f {
		all.Go(func() {
			r := s.Stop()
			mu.Lock()
			defer mu.Unlock()
			sum = sum.Add(r)
		})
	}
	all.Wait()
	t.Log(sum)
	if err := sum.Err(); err != nil {
		t.Error(err)
	}
}
