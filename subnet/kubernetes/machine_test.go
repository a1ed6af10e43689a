package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestConnectionToPodlaneKube(t *testing.T) {
	set := message(7, []string{"10.5.2.0/24"})
	type step struct {
		at   float64 // seconds after the start
		feed *channel.Feed
	}
	connected := func(l *channel.Leases, source string, at float64) *channel.Feed {
		return &channel.Feed{Connected: true, Program: "podlane-kube v1", Leases: l, Source: &channel.Source{Fault: source}, At: after(at)}
	}
	silent := &channel.Feed{Connected: true, Program: "podlane-kube v1", At: after(1)}
	gone := &channel.Feed{Program: "podlane-kube v1", Fault: "podlane-kube v1 (process 7) closed the connection", Leases: set, Source: &channel.Source{}, At: after(1)}
	for name, row := range map[string]struct {
		steps    []step
		at       float64
		err      string
		seen     float64 // 0: never
		watching bool
		feeder   string
		warning  string
	}{
		"it may still be starting":     {nil, 14.9, "", 0, false, "", ""},
		"nothing connects":             {nil, 15, "podlane-kube is not connected: it has not connected to the socket channel.sock", 0, false, "", ""},
		"a connection was refused":     {[]step{{0, &channel.Feed{Fault: "process 9 has user id 1000"}}}, 2, "podlane-kube is not connected: process 9 has user id 1000", 0, false, "", ""},
		"connected":                    {[]step{{1, connected(set, "", 1)}}, 2, "", 1, true, "podlane-kube v1", ""},
		"it may still list the Nodes":  {[]step{{1, silent}}, 14.9, "", 0, false, "podlane-kube v1", ""},
		"it has sent nothing":          {[]step{{1, silent}}, 15, "podlane-kube is connected, and has not sent the Nodes yet", 0, false, "podlane-kube v1", ""},
		"it ended before the Nodes":    {[]step{{1, &channel.Feed{Fault: "podlane-kube v1 closed the connection"}}}, 2, "podlane-kube is not connected: podlane-kube v1 closed the connection", 0, false, "", ""},
		"the Nodes without the source": {[]step{{1, &channel.Feed{Connected: true, Program: "podlane-kube v1", Leases: set, At: after(1)}}}, 2, "", 0, false, "podlane-kube v1", ""},
		"no API server from the start": {[]step{{1, connected(nil, "the API server does not answer", 1)}}, 1, "the API server does not answer", 0, false, "podlane-kube v1", ""},
		"the API server is away":       {[]step{{1, connected(set, "", 1)}, {6, connected(set, "the API server does not answer", 6)}}, 7, "the API server does not answer", 1, false, "podlane-kube v1", ""},
		"heartbeats":                   {[]step{{1, connected(set, "", 1)}, {6, connected(set, "", 6)}}, 20, "", 6, true, "podlane-kube v1", ""},
		"no heartbeat for 15 s":        {[]step{{1, connected(set, "", 1)}}, 16, "", 1, false, "podlane-kube v1", ""},
		"away for a moment":            {[]step{{1, connected(set, "", 1)}, {5, gone}}, 6.9, "", 1, false, "", ""},
		"away":                         {[]step{{1, connected(set, "", 1)}, {5, gone}}, 7, "podlane-kube is not connected: podlane-kube v1 (process 7) closed the connection", 1, false, "", ""},
		"connected again and silent":   {[]step{{1, connected(set, "", 1)}, {5, gone}, {6, silent}}, 7, "podlane-kube is connected, and has not sent the Nodes yet", 1, false, "podlane-kube v1", ""},
		"connected again":              {[]step{{1, connected(set, "", 1)}, {5, gone}, {9, connected(set, "", 9)}}, 10, "", 9, true, "podlane-kube v1", ""},
		"another one was refused": {[]step{{1, func() *channel.Feed {
			f := connected(set, "", 1)
			f.Fault = "process 9 has user id 1000"
			return f
		}()}}, 2, "", 1, true, "podlane-kube v1", "process 9 has user id 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, s := range row.steps {
				w.receive(*s.feed, after(s.at))
			}
			st := w.state(after(row.at))
			if text(st.Err) != row.err || st.Watching != row.watching || st.Feeder != row.feeder {
				t.Errorf("error %v, watching %v, feeder %q", st.Err, st.Watching, st.Feeder)
			}
			if row.seen == 0 != st.Seen.IsZero() || row.seen != 0 && !st.Seen.Equal(after(row.seen)) {
				t.Errorf("seen %v, want %v", st.Seen, after(row.seen))
			}
			if !strings.Contains(strings.Join(st.Warnings, "\n"), row.warning) || row.warning == "" && len(st.Warnings) > 0 {
				t.Errorf("warnings %q, want %q", st.Warnings, row.warning)
			}
			if len(row.steps) > 1 && st.Own.Pair() != pair(t, "10.5.2.0-24") {
				t.Errorf("own lease %s", st.Own)
			}
		})
	}
}

func TestStateChangesBecauseTimePasses(t *testing.T) {
	w := newWorld(t)
	expectNext := func(when string, last, want float64) {
		t.Helper()
		if got := w.next(after(last)); !got.Equal(after(want)) {
			t.Errorf("%s: after %v, want after %v s", when, got.Sub(start), want)
		}
	}
	expectNext("not connected", 0, 15)
	if got := w.next(after(15)); !got.IsZero() {
		t.Errorf("the error is delivered: %v, want never", got)
	}
	w.receive(feed(message(7, nil), after(16)), after(16))
	expectNext("connected", 16, 31)
	w.receive(channel.Feed{Fault: "closed"}, after(20))
	expectNext("away", 20, 22)
}

// The last valid configuration stays in use. The error names the fault.
func TestConfigurationChanges(t *testing.T) {
	cidrs := []string{"10.5.2.0/24"}
	with := func(config, fault string) *channel.Leases {
		m := message(8, cidrs)
		m.Config, m.Fault = []byte(config), fault
		return m
	}
	for name, row := range map[string]struct {
		message *channel.Leases
		err     string
		config  string
		warning string
	}{
		"the same":    {with(ipv4Config, ""), "", ipv4Config, ""},
		"larger":      {with(`{"Network":"10.4.0.0/15"}`, ""), "", `{"Network":"10.4.0.0/15"}`, ""},
		"unknown key": {with(`{"Network":"10.5.0.0/16","Netwrk":1}`, ""), "", `{"Network":"10.5.0.0/16","Netwrk":1}`, `network configuration: unknown key "Netwrk" is ignored`},
		"elsewhere":   {with(`{"Network":"10.9.0.0/16"}`, ""), "", `{"Network":"10.9.0.0/16"}`, "pod subnet 10.5.2.0/24 is not in the changed network configuration: the node keeps it until podlaned is restarted or reloaded"},
		"IPv6 too":    {with(dualConfig, ""), "", dualConfig, ""},
		"IPv6 alone":  {with(`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`, ""), "", `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`, "pod subnet 10.5.2.0/24 is not in the changed network configuration: the node keeps it until podlaned is restarted or reloaded"},
		"another VNI": {with(`{"Network":"10.5.0.0/16","Backend":{"VNI":7}}`, ""), "", `{"Network":"10.5.0.0/16","Backend":{"VNI":7}}`, ""},
		"not valid":   {with(`{"Network":"10.5.0.0"}`, ""), `the ConfigMap podlane-network is not valid: network configuration: Network "10.5.0.0" is not an IPv4 prefix like 10.5.0.0/16; correct net-conf.json in it; the last valid configuration stays in use`, ipv4Config, ""},
		"empty":       {with("", ""), "podlane-kube has sent no network configuration; the last valid configuration stays in use", ipv4Config, ""},
		"a fault":     {with("", "the ConfigMap podlane-network has no net-conf.json"), "the ConfigMap podlane-network has no net-conf.json; the last valid configuration stays in use", ipv4Config, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := message(7, cidrs)
			w.send(m)
			own := w.echo(m).Own
			st := w.echo(row.message)
			if text(st.Err) != row.err || string(st.Config) != row.config {
				t.Errorf("configuration %s, error\n%v, want %s\n%s", st.Config, st.Err, row.config, row.err)
			}
			if st.Network != network(t, row.config).Whole() {
				t.Errorf("network %+v", st.Network)
			}
			if st.Own != own || !st.Held || st.Conflict != "" {
				t.Errorf("own lease %s, held %v, conflict %q", st.Own, st.Held, st.Conflict)
			}
			if got := strings.Join(st.Warnings, "\n"); got != row.warning {
				t.Errorf("warnings %q, want %q", got, row.warning)
			}
		})
	}
}

// The saved configuration is in use until podlane-kube sends a valid one.
func TestSavedConfiguration(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Saved = savedState(5, announced(t, 2, "10.5.2.0-24")) })
	if st := w.state(start); string(st.Config) != ipv4Config || st.Network != network(t, ipv4Config).Whole() || st.Own != (subnet.Lease{}) {
		t.Errorf("before the first message: %s, own lease %s", st.Config, st.Own)
	}
	m := message(7, []string{"10.5.2.0/24"})
	m.Config, m.Fault = nil, "the ConfigMap podlane-network is missing"
	if st := w.send(m); text(st.Err) != m.Fault+"; the last valid configuration stays in use" || st.Own.Pair() != pair(t, "10.5.2.0-24") {
		t.Errorf("own lease %s, error %v", st.Own, st.Err)
	}
}

func TestLeaseSet(t *testing.T) {
	w := newWorld(t)
	m := message(7, []string{"10.5.2.0/24"}, announced(t, 9, "10.5.9.0-24"), flannels(t, 3, "10.5.3.0-24"), announced(t, 1, "10.5.1.0-24"))
	m.Leases = append(m.Leases, store.SavedLease{Key: "10.5.7.0-24", Value: json.RawMessage(`{"BackendType":"vxlan"}`)})
	m.Skipped, m.Junk = []subnet.Skip{{Key: "n5", Reason: "VtepMAC is missing"}}, 1
	st := w.send(m)
	if got, want := keys(st.Set), []string{"10.5.1.0-24", "10.5.3.0-24", "10.5.9.0-24"}; !slices.Equal(got, want) {
		t.Errorf("set %q, want %q", got, want)
	}
	skipped := []subnet.Skip{{Key: "n5", Reason: "VtepMAC is missing"}, {Key: "10.5.7.0-24", Reason: "PublicIP is zero or missing"}}
	if diff := cmp.Diff(skipped, st.Set.Skipped); diff != "" || st.Set.Junk != 2 {
		t.Errorf("junk %d, skipped (-want +got):\n%s", st.Set.Junk, diff)
	}
	if st.Set.Records[0].Created != 1002 || st.Set.Records[2].Created != 1000 {
		t.Errorf("ages of the Nodes: %+v", st.Set.Records)
	}
	more := *m
	for i := range 3 * subnet.MaxSkips {
		more.Leases = append(more.Leases, store.SavedLease{Key: fmt.Sprint("junk-", i)})
	}
	if st = w.send(&more); len(st.Set.Skipped) != subnet.MaxSkips || st.Set.Junk != 2+3*subnet.MaxSkips {
		t.Errorf("%d skipped, junk %d", len(st.Set.Skipped), st.Set.Junk)
	}
}

// The state that a node saves starts the next run.
func TestStateIsSaved(t *testing.T) {
	w := newWorld(t)
	m := message(7, []string{"10.5.2.0/24"}, announced(t, 1, "10.5.1.0-24"))
	w.send(m)
	st := w.echo(m)
	saved := st.Save()
	own, ok := saved.Lease()
	if !ok || own != st.Own || !saved.Expiry.IsZero() || saved.Revision != 8 || len(saved.LostLeases()) != 0 {
		t.Errorf("saved %+v", saved)
	}
	if got, want := keys(saved.Set()), []string{"10.5.1.0-24", "10.5.2.0-24"}; !slices.Equal(got, want) {
		t.Errorf("saved set %q, want %q", got, want)
	}
}
