package main

import (
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/podlane/podlane/kernel"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/podlane/podlane/status"
)

// metrics holds the counters of events. Current values are read from the board: see gauges. docs/metrics.md lists all metrics.
type metrics struct {
	registry   *prometheus.Registry
	reconciled *prometheus.CounterVec
	duration   prometheus.Histogram // of a reconciliation
	operations *prometheus.CounterVec
	repairs    *prometheus.CounterVec
	requests   *prometheus.HistogramVec
}

func newMetrics(b *board) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		reconciled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podlane_passes_total", Help: "Reconciliations of the kernel, by result: verified or failed.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "podlane_pass_duration_seconds", Help: "How long a reconciliation of the kernel took.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podlane_operations_total", Help: "Writes to the kernel, by kind of object and result: done or failed.",
		}, []string{"kind", "result"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "podlane_repairs_total", Help: "Writes that restored what another program had changed, by kind of object.",
		}, []string{"kind"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "podlane_etcd_request_duration_seconds", Help: "How long etcd took to answer, by call and result: ok or error.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s, the deadline of a call
		}, []string{"call", "result"}),
	}
	m.registry.MustRegister(m.reconciled, m.duration, m.operations, m.repairs, m.requests, gauges{b},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observeCall counts a call to etcd.
func (m *metrics) observeCall(call string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.requests.WithLabelValues(call, result).Observe(took.Seconds())
}

// observeReconciliation counts a reconciliation of the kernel.
func (m *metrics) observeReconciliation(took time.Duration, verified bool) {
	result := "verified"
	if !verified {
		result = "failed"
	}
	m.reconciled.WithLabelValues(result).Inc()
	m.duration.Observe(took.Seconds())
}

// observeOps counts the writes to the kernel, done and failed.
func (m *metrics) observeOps(ops []kernel.Op, failed []kernel.Failure) {
	for _, op := range ops {
		m.operations.WithLabelValues(op.Kind, "done").Inc()
		if op.Drift {
			m.repairs.WithLabelValues(op.Kind).Inc()
		}
	}
	for _, f := range failed {
		m.operations.WithLabelValues(f.Op.Kind, "failed").Inc()
	}
}

// gauges reads current values from the board at each scrape.
type gauges struct{ board *board }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("podlane_"+name, help, labels, nil)
}

var (
	buildInfo    = describe("build_info", "1; the labels are the version of podlaned and of Go.", "version", "goversion")
	peersBy      = describe("peers", "Peers by state: programmed, failed, skipped or pending.", "state")
	retainedNow  = describe("retained_peers", "Peers that the store lost with its data and that podlaned keeps for now.")
	skippedNow   = describe("skipped_leases", "Leases of other nodes that are not programmed; `podlaned status` names them.")
	readyBy      = describe("ready", "1 if a check of /readyz holds, else 0.", "check")
	problemsNow  = describe("problems", "How many problems `podlaned status` lists.")
	verifiedAt   = describe("last_verified_timestamp_seconds", "When the kernel was last verified, in Unix time; 0: never.")
	mtuNow       = describe("mtu_bytes", "MTU of the overlay and of the pods; 0: not known yet.")
	leaseExpiry  = describe("lease_expiry_timestamp_seconds", "When this node's lease runs out unless it is renewed, in Unix time; +Inf: never; 0: no lease.")
	etcdSeen     = describe("etcd_last_seen_timestamp_seconds", "When etcd last answered, in Unix time; 0: never.")
	etcdWatch    = describe("etcd_watch_up", "1 if a watch on etcd runs, else 0.")
	etcdLists    = describe("etcd_lists_total", "How often all leases were listed: at the start, and when the watch could not continue.")
	etcdLosses   = describe("etcd_losses_total", "How often etcd lost data.")
	etcdRevision = describe("etcd_revision", "etcd revision of the current lease set.")
	droppedBy    = describe("dropped_packets_total", "Packets that the node's firewall dropped, by reason; starts at 0 again when its table is recreated.", "reason")
)

// Describe sends nothing, because the metrics depend on the node's state. The registry checks them at each scrape.
func (gauges) Describe(chan<- *prometheus.Desc) {}

// Collect sends the current values of the board.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	s := g.board.get()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.GaugeValue, v, labels...) }
	gauge(buildInfo, 1, version, runtime.Version())
	states := map[string]int{status.PeerProgrammed: 0, status.PeerFailed: 0, status.PeerSkipped: 0, status.PeerPending: 0}
	for _, p := range s.Peers {
		states[p.State]++
	}
	for state, count := range states {
		gauge(peersBy, float64(count), state)
	}
	for _, c := range s.Checks {
		gauge(readyBy, truth(c.OK), c.Name)
	}
	for reason, packets := range s.Dropped {
		send(droppedBy, prometheus.CounterValue, float64(packets), reason)
	}
	gauge(retainedNow, float64(s.Retained))
	gauge(skippedNow, float64(s.SkipCount))
	gauge(problemsNow, float64(len(s.Problems)))
	gauge(verifiedAt, unixTime(s.Verified))
	gauge(mtuNow, float64(s.MTU))
	gauge(leaseExpiry, expiryTime(s.Lease))
	if s.Etcd == nil {
		return
	}
	gauge(etcdSeen, unixTime(s.Etcd.Seen))
	gauge(etcdWatch, truth(s.Etcd.Watching))
	gauge(etcdRevision, float64(s.Etcd.Revision))
	send(etcdLists, prometheus.CounterValue, float64(s.Etcd.Lists))
	send(etcdLosses, prometheus.CounterValue, float64(s.Etcd.Losses))
}

func expiryTime(l status.Lease) float64 {
	switch {
	case len(l.Subnet) == 0:
		return 0
	case l.Expiry.IsZero():
		return math.Inf(1)
	}
	return unixTime(l.Expiry)
}

func unixTime(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
