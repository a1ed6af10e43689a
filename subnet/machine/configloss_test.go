package machine

import (
	"errors"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

const newConfig = `{"Network":"10.5.0.0/16","SubnetMax":"10.5.200.0"}`

func TestWhenADeletedConfigurationIsRestored(t *testing.T) {
	// The random part of the wait is half of restoreSpread.
	const spread = restoreSpread / 2
	event := func(m *Machine, now time.Time, events ...Event) { m.Watched(events, now) }
	put := func(value string, revision int64) Event {
		return Event{KV: KV{Name: ConfigName, Value: []byte(value), Created: 5, Modified: revision}}
	}
	deleted := func(revision int64) Event {
		return Event{Deleted: true, KV: KV{Name: ConfigName, Modified: revision}}
	}
	for name, c := range map[string]struct {
		fresh   bool // the node has not listed yet
		happens func(m *Machine, now time.Time)
		want    string // the configuration that is restored; empty: none
		after   time.Duration
	}{
		"it exists": {happens: func(*Machine, time.Time) {}},
		"it was deleted before the start": {
			fresh:   true,
			happens: func(m *Machine, now time.Time) { m.Replace(newMirrorAt(9), false, now) },
		},
		"all data was lost before the start": {
			fresh:   true,
			happens: func(m *Machine, now time.Time) { m.Replace(newMirrorAt(1), false, now) },
			want:    ipv4Config, after: restoreAfterSaved + spread,
		},
		"a list shows the deletion": {
			happens: func(m *Machine, now time.Time) { m.Replace(newMirrorAt(9), false, now) },
			want:    ipv4Config, after: restoreAfterList + spread,
		},
		"a read shows the deletion, and not what came before": {
			happens: func(m *Machine, _ time.Time) { m.Read(ConfigName, KV{}, false, 9) },
			want:    ipv4Config, after: restoreAfterList + spread,
		},
		"the watch shows the deletion": {
			happens: func(m *Machine, now time.Time) { event(m, now, deleted(6)) },
			want:    ipv4Config, after: spread,
		},
		"it is deleted, and exists again": {
			happens: func(m *Machine, now time.Time) { event(m, now, deleted(6)); event(m, now, put(newConfig, 7)) },
		},
		"it is changed and deleted at once": {
			happens: func(m *Machine, now time.Time) { event(m, now, put(newConfig, 6), deleted(7)) },
			want:    newConfig, after: spread,
		},
		"it is made invalid and deleted": {
			happens: func(m *Machine, now time.Time) { event(m, now, put("{", 6)); event(m, now, deleted(7)) },
			want:    ipv4Config, after: spread,
		},
		"another node restores it during the wait": {
			happens: func(m *Machine, now time.Time) {
				event(m, now, deleted(6))
				m.Next(now)
				event(m, now, put(ipv4Config, 7))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			m := New(Options{
				Self: self(1), Saved: &store.Saved{Config: []byte(ipv4Config), Revision: 4},
				Check:  func(subnet.Network) error { return errors.New("it does not join") },
				Random: func(most time.Duration) time.Duration { return most / 2 },
			})
			if !c.fresh {
				list := newMirrorAt(5)
				list.Put(put(ipv4Config, 5).KV)
				m.Replace(list, false, now)
				m.Next(now)
			}
			c.happens(m, now)
			if c.want == "" {
				if st := m.Next(now.Add(time.Hour)); st.Verb == RestoreConfig {
					t.Error("it is restored")
				}
				return
			}
			if st := m.Next(now); c.after > 0 && (st.Verb != Wait || !st.At.Equal(now.Add(c.after))) {
				t.Errorf("verb %v, again in %v; want it restored in %v", st.Verb, st.At.Sub(now), c.after)
			}
			st := m.Next(now.Add(c.after))
			if st.Verb != RestoreConfig {
				t.Fatalf("verb %v after %v, want RestoreConfig", st.Verb, c.after)
			}
			if got := string(m.Txn(st).Put[0].Value); got != c.want {
				t.Errorf("restored %s, want %s", got, c.want)
			}
		})
	}
}
