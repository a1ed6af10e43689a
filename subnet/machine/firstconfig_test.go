package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/store"
)

// offers returns a change that gives the node a configuration for a store that has none.
func offers(config string) func(*Options) {
	return func(o *Options) { o.Config = func() []byte { return []byte(config) } }
}

// stored returns the configuration in a world's store.
func (w *world) stored() string { return string(w.keys[ConfigName].Value) }

func TestFirstNodeWritesTheConfiguration(t *testing.T) {
	w := newWorld(t, "")
	first := w.start(1, offers(twoSubnets))
	w.run()
	second := w.start(2, offers(ipv4Config)) // an existing one stays
	w.run()
	first.held()
	second.held()
	if w.stored() != twoSubnets {
		t.Errorf("stored %s, want %s", w.stored(), twoSubnets)
	}
	if got := first.verbs[0]; got != RestoreConfig {
		t.Errorf("first verb %v", got)
	}
}

// Two nodes find no configuration. The slower one adopts the faster one's.
func TestTwoNodesWriteTheFirstConfiguration(t *testing.T) {
	w := newWorld(t, "")
	slow := w.start(1, offers(ipv4Config))
	slow.before = func(_ *node, st Step) {
		if st.Verb == RestoreConfig && w.stored() == "" {
			w.put(ConfigName, twoSubnets)
		}
	}
	w.run()
	slow.held()
	if got := string(slow.State().Config); w.stored() != twoSubnets || got != twoSubnets {
		t.Errorf("stored %s, in use %s; want %s", w.stored(), got, twoSubnets)
	}
}

// The store has leases of nodes: one of them knows the deleted configuration. A newcomer waits for it.
func TestNewcomerWaitsForADeletedConfiguration(t *testing.T) {
	w := newWorld(t, twoSubnets)
	w.lease(self(1), "10.5.4.0-24")
	w.delete(ConfigName)
	n := w.start(2, offers(ipv4Config))
	w.advance(configWait - time.Second)
	if w.stored() != "" {
		t.Fatalf("stored %s while its holder may restore it", w.stored())
	}
	if said := strings.Join(n.State().Warnings, ""); !strings.Contains(said, "writing the one of network-file") {
		t.Errorf("warnings %q", said)
	}
	w.advance(2 * time.Second)
	n.held()
	if w.stored() != ipv4Config {
		t.Errorf("stored %s, want %s", w.stored(), ipv4Config)
	}
}

func TestWhichConfigurationAStartWrites(t *testing.T) {
	for name, c := range map[string]struct {
		list  *Mirror
		offer string
		want  string
		after time.Duration
	}{
		"all data was lost: the saved one":                 {newMirrorAt(1), newConfig, ipv4Config, restoreAfterSaved + restoreSpread/2},
		"it was deleted before the start: the offered one": {newMirrorAt(9), newConfig, newConfig, restoreAfterSaved + restoreSpread/2},
		"deleted, and none is offered":                     {newMirrorAt(9), "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			m := New(Options{
				Self: self(1), Saved: &store.Saved{Config: []byte(ipv4Config), Revision: 4},
				Config: func() []byte { return []byte(c.offer) },
				Random: func(most time.Duration) time.Duration { return most / 2 },
			})
			if c.offer == "" {
				m.opts.Config = func() []byte { return nil }
			}
			m.Replace(c.list, false, now)
			if st := m.Next(now); st.Verb == RestoreConfig {
				t.Error("it is written at once, although another node may know a newer one")
			}
			st := m.Next(now.Add(restoreAfterSaved + restoreSpread/2))
			if c.want == "" {
				if st.Verb == RestoreConfig {
					t.Errorf("written: %s", st.config)
				}
				return
			}
			if st.Verb != RestoreConfig || string(m.Txn(st).Put[0].Value) != c.want {
				t.Errorf("verb %v, configuration %s; want %s", st.Verb, st.config, c.want)
			}
		})
	}
}

// The configuration is offered later: an operator has corrected a file.
func TestConfigurationIsOfferedLater(t *testing.T) {
	w, offer := newWorld(t, ""), []byte(nil)
	n := w.start(1, func(o *Options) { o.Config = func() []byte { return offer } })
	w.advance(time.Minute)
	if !errors.Is(n.step.Err, ErrNoConfig) || w.stored() != "" {
		t.Errorf("err %v, stored %q; want %v", n.step.Err, w.stored(), ErrNoConfig)
	}
	offer = []byte(ipv4Config)
	w.advance(restoreRetry)
	n.held()
}

// The store refuses the configuration. That is the error, not that there is none, and the node tries again.
func TestRefusedFirstConfiguration(t *testing.T) {
	w := newWorld(t, "")
	w.refuse = func(Txn) error { return errors.New("permission denied") }
	n := w.start(1, offers(ipv4Config))
	w.advance(time.Minute)
	if want := "the network configuration is missing from etcd and this node cannot write it: permission denied"; n.errText() != want {
		t.Errorf("error %q, want %q", n.errText(), want)
	}
	w.refuse = nil
	w.advance(restoreRetry)
	n.held()
}
