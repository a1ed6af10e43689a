package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/status"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/store"
)

// Any file and environment is either refused, or gives settings in range.
func FuzzConfiguration(f *testing.F) {
	for _, file := range []string{
		"", "---\n", "# nothing\n", "iface: eth0\n", "iface: [eth1, 198.18.0.0/16]\nlease-ttl: 2h\n", "a: &a [*a]\n", "? [x]\n: y\n",
		"iface: {a: b}\n", "iface: !!binary aGk=\n", "- a\n", "a: [\n", "iface: a\niface: b\n", "lease-ttl: -1h\n", "resync: 1e99h\n", "\ufeffiface: eth0", "iface: |\n  a\n  b\n",
		"etcd-endpoints:\nhttp: ''\n", "iface-regex: '['\n", "public-ip: ::ffff:1.2.3.4\n", "<<: {iface: x}\n", "node-name: \"\\e[2J\"\n",
	} {
		f.Add([]byte(file), "PODLANE_IP_MASQ=0\nPODLANE_HTTP=[::]:1\nPODLANE_LEASE_TTL")
	}
	f.Fuzz(func(t *testing.T, file []byte, environment string) {
		environ := strings.Split(environment, "\n")
		if strings.Contains(environment, "PODLANE_CONFIG=") {
			return // another file
		}
		path := filepath.Join(t.TempDir(), "podlaned.yaml")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c, rest, err := loadConfig("run", []string{"--config", path}, environ, io.Discard)
		if err != nil {
			return
		}
		if len(rest) > 0 || c.leaseTTL < time.Minute || c.resync < time.Second || !strings.HasPrefix(c.etcd.Prefix, "/") {
			t.Errorf("%q, %q: accepted as %+v", file, environment, c)
		}
		again := c
		again.flags("run").VisitAll(func(x *flag.Flag) {
			if was := x.Value.String(); x.Value.Set(was) != nil || x.Value.String() != was {
				t.Errorf("%q, %q: %s becomes %q, which is not accepted again", file, environment, x.Name, was)
			}
		})
	})
}

// An edited state file never stops podlaned.
func FuzzSavedState(f *testing.F) {
	f.Add([]byte(`{"config":{"Network":"10.5.0.0/16"},"revision":7,"own":"10.5.1.0-24","leases":[
		{"key":"10.5.1.0-24","value":{"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}}],
		"Prefix":"/podlane/network","Until":{"Wall":"2026-01-02T03:04:05Z","Boot":"` + bootID() + `","Since":9223372036854775807}}`))
	f.Add([]byte(`{"own":"10.5.1.0-24","Prefix":"/podlane/network","Until":{"Never":true,"Since":-9223372036854775808}}`))
	f.Add([]byte(`{"Prefix":"/other"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, stateName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := loadState(dir, etcd.DefaultPrefix)
		if err != nil {
			if s.store(time.Now()) != nil {
				t.Errorf("%v, and yet there is %+v", err, s)
			}
			return
		}
		c := config{runDir: dir}
		if p, inUse := previous(c, s); inUse {
			t.Errorf("%s is in use, by a state alone", p)
		}
		st, fault := s.fallback(store.State{Err: io.EOF}, storeEtcd, false, time.Now())
		if own, ok := s.Lease(); st.Own != (subnet.Lease{}) && (st.Own != own || !ok || fault != nil) {
			t.Errorf("it stands in with %+v, %v", st.Own, fault)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("it cannot be saved again: %v", err)
		}
	})
}

func FuzzParseMachineID(f *testing.F) {
	for _, seed := range []string{"", "\n", "uninitialized\n", "3d1219c7c4c5404a9d0e5a4c8b1f2e3d\n", "3D1219C7C4C5404A9D0E5A4C8B1F2E3D", "3d1219c7c4c5404a9d0e5a4c8b1f2e3\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := parseMachineID(data)
		if (err == nil) != (len(id) == 32) {
			t.Errorf("%q: %q, %v", data, id, err)
		}
		if err == nil && (subnet.Node{ID: id, Name: "n1"}).Check() != nil {
			t.Errorf("%q: other nodes refuse the id %q", data, id)
		}
	})
}

// Another program may answer on the socket.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"ready":true,"checks":[{"name":"lease","ok":true}],"lease":{"subnet":["10.5.1.0/24"],"held":true,"expiry":"2026-01-02T03:04:05Z"},
		"peers":[{"name":"n2","subnet":["10.5.2.0/24"],"publicIP":"198.18.0.2","state":"failed","reason":"no buffer space"}],"skipCount":9,"dropped":{"x_y":1}}`))
	f.Add([]byte(`{"peers":[{}],"skipped":[{}],"repairs":[{}],"checks":[{}],"skipCount":-1}`))
	f.Add([]byte(`{"network":[null],"underlay":{"publicIP":[""]}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		var s status.Status
		if json.Unmarshal(answer, &s) != nil {
			return
		}
		if err := s.Print(io.Discard, time.Now()); err != nil {
			t.Error(err)
		}
	})
}
