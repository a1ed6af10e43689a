package machine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// A saved state with any content does not end the program.
func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"config":{"Network":"10.5.0.0/16"},"revision":7,"own":"10.5.1.0-24","expiry":"2026-01-02T03:04:05Z","leases":[
		{"key":"10.5.1.0-24","value":{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}}]}`))
	f.Add([]byte(`{"revision":-1,"own":"x","leases":[{"key":"x","value":null}]}`))
	f.Add([]byte(`{"config":null,"leases":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var saved store.Saved
		if json.Unmarshal(text, &saved) != nil {
			return
		}
		set := saved.Set()
		if own, ok := saved.Lease(); ok && own.Pair().Key() != saved.Own {
			t.Errorf("own %v, saved %q", own, saved.Own)
		}
		m := New(Options{Self: self(1), Saved: &saved})
		m.Replace(newMirrorAt(1), false, time.Now())
		m.Next(time.Now())
		if known := m.State().Set; len(known.Records) > len(set.Records) {
			t.Errorf("%d of %d leases", len(known.Records), len(set.Records))
		}
		again := store.State{Set: subnet.Set{Records: set.Records}}.Save()
		if len(again.Leases) != len(set.Records) {
			t.Errorf("%d leases saved of %d", len(again.Leases), len(set.Records))
		}
	})
}
