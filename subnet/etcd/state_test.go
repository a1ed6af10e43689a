package etcd

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
)

// A saved state that somebody has edited ends nothing, whatever it says.
func FuzzSaved(f *testing.F) {
	f.Add([]byte(`{"config":{"Network":"10.5.0.0/16"},"revision":7,"own":"10.5.1.0-24","expiry":"2026-01-02T03:04:05Z","leases":[
		{"key":"10.5.1.0-24","value":{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}}]}`))
	f.Add([]byte(`{"revision":-1,"own":"x","leases":[{"key":"x","value":null}]}`))
	f.Add([]byte(`{"config":null,"leases":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var saved Saved
		if json.Unmarshal(text, &saved) != nil {
			return
		}
		set := saved.Set()
		if own, ok := saved.Lease(); ok && own.Pair().Key() != saved.Own {
			t.Errorf("own %v, saved %q", own, saved.Own)
		}
		s := newSession(Options{Self: self(1), Saved: &saved})
		s.replace(newMirror(1), false, time.Now(), time.Minute)
		s.next(time.Now())
		if known := s.set(); len(known.Records) > len(set.Records) {
			t.Errorf("%d of %d leases", len(known.Records), len(set.Records))
		}
		again := State{Set: subnet.Set{Records: set.Records}}.Save()
		if len(again.Leases) != len(set.Records) {
			t.Errorf("%d leases saved of %d", len(again.Leases), len(set.Records))
		}
	})
}
