package main

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/kernel"
)

// Each level also logs the lines of the levels after it.
func TestLogLevels(t *testing.T) {
	for level, want := range map[string][]string{
		"debug":   {"debug", "info", "warning", "error"},
		"info":    {"info", "warning", "error"},
		"warning": {"warning", "error"},
		"error":   {"error"},
	} {
		var out strings.Builder
		log := newLogger(config{logLevel: level}, &out)
		log.Debug("x")
		log.Info("x")
		log.Warn("x")
		log.Error("x")
		if diff := cmp.Diff(want, levels(out.String())); diff != "" {
			t.Errorf("%s: levels (-want +got):\n%s", level, diff)
		}
	}
}

// levels returns the level of each line of a log.
func levels(text string) (list []string) {
	for _, m := range regexp.MustCompile(`level=(\w+)`).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// messages returns the message of each line of a log.
func messages(text string) (list []string) {
	for _, m := range regexp.MustCompile(`msg="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestDebugLog(t *testing.T) {
	route := kernel.Op{Verb: "add", Kind: "route", Object: "route 10.5.35.0/24"}
	run := func(level string) string {
		l, out := newReadyLoop(t, 2)
		l.log = newLogger(config{logLevel: level}, out)
		l.observeCall("Range", 3*time.Millisecond, nil)
		l.observeCall("Txn", time.Second, errors.New("no leader"))
		l.state.Err = errors.New("no answer")
		l.debugWait()
		l.state.Err = nil
		l.debugWait()
		l.debugEvent(event{stateReceived, stateWithPeers(t, l, 2)})
		l.debugEvent(event{kind: kernelChanged})
		l.debugEvent(event{kind: timeout})
		l.debugEvent(event{kind: beatDue})
		l.recordOps([]kernel.Op{route}, nil)
		l.debugReconciliation(12*time.Millisecond, true, 30*time.Second)
		return out.String()
	}
	want := []string{
		"etcd: Range took 3ms",
		"etcd: Txn failed after 1s: no leader",
		"waiting for a lease: no answer",
		"waiting for a lease: the store has not delivered one yet",
		"the store delivered revision 9, leases: 2, own lease: 10.5.34.0/24, held: true",
		"reconciling: the kernel's state may have changed",
		"reconciling: a retry or the resync is due",
		"wrote to the kernel: add route 10.5.35.0/24",
		"add route 10.5.35.0/24; peers: 1",
		"reconciled in 12ms, verified: true, peers: 1; the next one is in 30s or earlier",
	}
	if diff := cmp.Diff(want, messages(run("debug"))); diff != "" {
		t.Errorf("at level debug (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"add route 10.5.35.0/24; peers: 1"}, messages(run("info"))); diff != "" {
		t.Errorf("at level info (-want +got):\n%s", diff)
	}
}

func TestDebugLogWithoutALease(t *testing.T) {
	l, out := newTestLoop(t)
	l.log = newLogger(config{logLevel: "debug"}, out)
	l.debugEvent(event{kind: timeout})
	if got := out.String(); got != "" {
		t.Errorf("nothing is reconciled without a lease, but the log has: %s", got)
	}
}
