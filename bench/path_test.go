package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab"
)

// The rules were read from flannel's source (pkg/trafficmngr/iptables at commit 07c209467a60), not from a running
// flannel.
func TestFlannelsRules(t *testing.T) {
	const want = `*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.7.0/24 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.7.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.7.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
`
	got := flannelRules(netip.MustParsePrefix("10.5.0.0/16"), netip.MustParsePrefix("10.5.7.0/24"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPacketsOfChainsAreSummed(t *testing.T) {
	const saved = `*filter
:INPUT ACCEPT [5:300]
:FLANNEL-FWD - [0:0]
[7:420] -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
[4:240] -A FLANNEL-FWD -s 10.5.0.0/16 -j ACCEPT
[3:180] -A FLANNEL-FWD -d 10.5.0.0/16 -j ACCEPT
COMMIT
`
	if diff := cmp.Diff(map[string]int{"FORWARD": 7, "FLANNEL-FWD": 7}, chainPackets(saved)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sampleSpeeds returns ways of which each is twice as slow as the one before, except for the other build: it is as fast
// as podlane.
func sampleSpeeds(names ...string) map[string]*speeds {
	ways := map[string]*speeds{}
	for i, name := range names {
		v := float64(int(1) << i)
		if name == besideBuild {
			v /= 2
		}
		slower := func(of float64) series { return series{of * v, of * v} }
		faster := func(of float64) series { return series{of / v, of / v} }
		ways[name] = &speeds{
			tcp: faster(16e9), cpu: slower(0.5), small: faster(160_000), tcpTurns: faster(40_000), udpTurns: faster(80_000),
			lost: 1, tcp50: slower(10e-6), tcp99: slower(20e-6), udp50: slower(8e-6), udp99: slower(16e-6),
		}
	}
	return ways
}

func TestPathHasRowsTablesAndBars(t *testing.T) {
	all := []arrangement{
		{name: "two cores", speeds: sampleSpeeds(compared...)},
		{name: "one core", alone: true, speeds: sampleSpeeds(compared...)},
	}
	s := pathSection(fullPath, "somehow", all)
	text := s.Markdown()
	for _, want := range []string{
		"| two cores: TCP round trip, p50 | 80.0 µs (80.0 µs – 80.0 µs) | flannel's rules 40.0 µs (40.0 µs – 40.0 µs) | **2.00** | at most 1.02 (**missed**) |\n",
		"| two cores: TCP throughput | 2.00 Gbit/s (2.00 Gbit/s – 2.00 Gbit/s) | the other build 2.00 Gbit/s (2.00 Gbit/s – 2.00 Gbit/s) | **1.00** | at least 1.1 (**missed**) |\n",
		"| one core: datagrams of 64 bytes | 20,000/s (20,000/s – 20,000/s) | flannel's rules 40,000/s (40,000/s – 40,000/s) | **0.50** |  |\n",
		"|  | node to node | the overlay alone | flannel's rules | podlane | the other build |\n|---|---|---|---|---|---|\n",
		"| UDP round trip, p50 | 8.0 µs **8.00** | 16.0 µs **4.00** | 32.0 µs **2.00** | 64.0 µs | 64.0 µs **1.00** |\n",
		"\nOne core. ", "(path.svg)", " 10 messages were lost.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if s.missed() != 7 { // both round trips in both arrangements; on two cores throughput beside both, and datagrams
		t.Errorf("%d limits are missed, want 7", s.missed())
	}
	if b := s.Bars[0]; len(b.Groups) != 4 || !slices.Equal(b.Bars, compared) || b.Groups[3].Name != "UDP, one core" || b.Groups[3].Values[2] != 32 {
		t.Errorf("%+v", b)
	}
}

// Without another build there are no rows for it.
func TestPathWithoutAnotherBuild(t *testing.T) {
	s := pathSection(fullPath, "somehow", []arrangement{{name: "two cores", speeds: sampleSpeeds(nodesOnly, overlayOnly, flannelsRules, ours)}})
	if text := s.Markdown(); strings.Contains(text, besideBuild) || s.missed() != 3 {
		t.Errorf("%d limits are missed, want 3:\n%s", s.missed(), text)
	}
}

// If processes cannot be assigned to cores, the second arrangement would be the first one again.
func TestArrangements(t *testing.T) {
	on := cores{client: []string{"0"}, server: []string{"1"}}
	two := arrange(on, pairNames(bench{beside: "/x"}))
	if len(two) != 2 || two[0].alone || two[0].client[0] != "0" || !two[1].alone || two[1].client[0] != "1" || two[1].server[0] != "1" {
		t.Errorf("%+v", two)
	}
	if !slices.Equal(two[0].names(), compared) {
		t.Errorf("paths %q, want %q", two[0].names(), compared)
	}
	if one := arrange(cores{}, pairNames(bench{})); len(one) != 1 || one[0].alone || !slices.Equal(one[0].names(), compared[:4]) {
		t.Errorf("%+v", one)
	}
}

// Over as many labs as there are pairs, each pair has all nodes. Each way adds to the figures of its own kind.
func TestEachLabGivesThePairsOtherNodes(t *testing.T) {
	names := pairNames(bench{})
	var nodes []*lab.Node
	for i := range 2 * len(names) {
		nodes = append(nodes, &lab.Node{Place: &lab.Place{}, Index: i})
	}
	a := arrange(cores{}, names)[0]
	had := map[string][]int{}
	for number := range names {
		pairs := assign(names, number, nodes)
		for i := range pairs {
			p := &pairs[i]
			had[p.name] = append(had[p.name], p.nodes[0].Index, p.nodes[1].Index)
			for _, n := range p.nodes {
				p.pods = append(p.pods, &lab.Pod{Place: &lab.Place{}, Node: n, Addrs: []netip.Addr{{}}})
			}
		}
		for _, w := range a.ways(pairs) {
			w.tcp.add(1)
		}
	}
	for _, name := range names {
		slices.Sort(had[name])
		if !slices.Equal(had[name], []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("%s had nodes %v", name, had[name])
		}
	}
	for name, s := range a.speeds {
		if len(s.tcp) != len(names) {
			t.Errorf("%s has %d values, want %d", name, len(s.tcp), len(names))
		}
	}
}
