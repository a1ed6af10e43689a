package main

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/kernel"

	dto "github.com/prometheus/client_model/go"
)

// exported returns a row of docs/metrics.md for each metric of podlane.
func exported(t *testing.T, m *metrics) (rows []string) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "podlane_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		kind := strings.ToLower(dto.MetricType_name[int32(f.GetType())])
		rows = append(rows, strings.Join([]string{"| `" + f.GetName() + "`", kind, strings.Join(labels, ", "), f.GetHelp() + " |"}, " | "))
	}
	return rows
}

func TestDocumentedMetricsMatch(t *testing.T) {
	b := &board{}
	s := readyStatus()
	s.Dropped = map[string]uint64{"x": 1}
	b.set(s)
	m := newMetrics(b)
	op := kernel.Op{Kind: "route", Drift: true}
	m.observeReconciliation(time.Millisecond, true)
	m.observeOps([]kernel.Op{op}, []kernel.Failure{{Op: op, Err: errors.New("no")}})
	m.observeCall("Txn", time.Millisecond, nil)
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("(?m)^\\| `podlane_.*$").FindAllString(string(text), -1)
	have := exported(t, m)
	if !slices.Equal(documented, have) {
		t.Errorf("docs/metrics.md differs from what is exported, which is:\n%s", strings.Join(have, "\n"))
	}
}

func TestMetricValues(t *testing.T) {
	b := &board{}
	b.set(readyStatus())
	m := newMetrics(b)
	m.observeReconciliation(time.Millisecond, true)
	m.observeReconciliation(time.Millisecond, false)
	m.observeOps([]kernel.Op{{Kind: "route", Drift: true}, {Kind: "route"}}, []kernel.Failure{{Op: kernel.Op{Kind: "fdb"}}})
	m.observeCall("Range", 3*time.Millisecond, nil)
	m.observeCall("Range", 3*time.Millisecond, errors.New("no"))
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			name := f.GetName()
			for _, l := range x.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = x.GetCounter().GetValue() + x.GetGauge().GetValue() + float64(x.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"podlane_passes_total verified": 1, "podlane_passes_total failed": 1, "podlane_pass_duration_seconds": 2,
		"podlane_operations_total route done": 2, "podlane_operations_total fdb failed": 1, "podlane_repairs_total route": 1,
		"podlane_etcd_request_duration_seconds Range ok": 1, "podlane_etcd_request_duration_seconds Range error": 1,
		"podlane_peers programmed": 1, "podlane_peers skipped": 1, "podlane_peers failed": 0, "podlane_mtu_bytes": 1450,
		"podlane_last_verified_timestamp_seconds": float64(noon.Unix() - 2), "podlane_lease_expiry_timestamp_seconds": float64(noon.Add(23 * time.Hour).Unix()),
		"podlane_ready node-file": 1, "podlane_ready kernel": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}
