package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
)

// A pair that has other rules than its name promises is not measured.
func TestPairWithOtherRulesIsRefused(t *testing.T) {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.Context(), lab.Options{Nodes: 2, Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.StartAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.AddPods(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	pairs := assign([]string{ours}, 0, l.Nodes)
	expect := func(what, want string) {
		t.Helper()
		switch err := check(t.Context(), pairs); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v; want %s", what, err, want)
		}
	}
	rename := func(name string) {
		t.Helper()
		pairs[0] = nodePair{name: name, nodes: pairs[0].nodes}
		if err := prepare(t.Context(), l, pairs); err != nil {
			t.Fatal(err)
		}
	}
	run := func(command ...string) {
		t.Helper()
		if _, err := l.Nodes[1].Run(t.Context(), command[0], command[1:]...); err != nil {
			t.Fatal(err)
		}
	}

	rename(ours)
	expect("podlane", "")
	run("nft", "add table inet other")
	expect("podlane and another table", "its tables are")
	run("nft", "delete table inet other")
	run("ip", "link", "set", "cni0", "mtu", "1400")
	expect("another MTU", "other devices or settings")
	run("ip", "link", "set", "cni0", "mtu", "1450")

	pairs[0].tunnelTracked = true
	expect("podlane's tunnel is tracked", "0 connections to port 8472, want some")

	rename(flannelsRules)
	expect("flannel's rules", "")
	run("iptables-nft", "-I", "FORWARD", "-j", "ACCEPT")
	expect("another rule before flannel's", "chain FLANNEL-FWD matched 0 packets")
	run("iptables-nft", "-D", "FORWARD", "-j", "ACCEPT")
	pairs[0].tunnelTracked = false
	expect("flannel's tunnel is not tracked", "want none")
	pairs[0].tunnelTracked = true
	run("bridge", "fdb", "append", "02:00:00:00:00:99", "dev", device, "dst", "198.18.1.9")
	expect("one more FDB entry", "2 FDB entries")
}
