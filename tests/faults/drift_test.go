package faults

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// disturbance is a change of the first node's kernel by another program. The status and the log name the repair, and
// the metrics count it by kind.
type disturbance struct {
	name, kind, word string
	cuts             path
	limit            time.Duration
	commands         []string // wordsOf replaces the capital words
}

// path is the traffic that a disturbance may interrupt until the repair. It is between the first node and the next
// nodes, in these families. All other traffic goes on.
type path struct {
	nodes    int
	families string
	inside   bool // also between the first node's own pods: iptables and nftables may filter a bridge's packets
}

var (
	nothing    = path{}
	peer4      = path{nodes: 1, families: "4"}
	peer6      = path{nodes: 1, families: "6"}
	peers4     = path{nodes: 2, families: "4"}
	peers6     = path{nodes: 2, families: "6"}
	peers      = path{nodes: 2, families: "46"}
	everything = path{nodes: 2, families: "46", inside: true}
)

func (p path) holds(b *bed, n *lab.Node, a netip.Addr) bool {
	i := slices.Index(b.Nodes, n)
	family := map[bool]string{true: "4", false: "6"}[a.Is4()]
	return strings.Contains(p.families, family) && i <= p.nodes && (i > 0 || p.inside)
}

func disturbances(list []disturbance) (faults []fault) {
	for _, d := range list {
		faults = append(faults, fault{d.name, d.run})
	}
	return faults
}

func (d disturbance) run(t *testing.T, b *bed) {
	n, words := b.Nodes[0], b.wordsOf(t)
	before, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	metric := fmt.Sprintf(`podlane_repairs_total{kind=%q}`, d.kind)
	counted, logged := cluster.Metric(t, n, metric), len(n.LogText())
	whole, cut := b.floodAround(t, d.cuts)
	began := time.Now()
	for _, c := range d.commands {
		cluster.Run(t, n.Place, words.Replace(c))
	}
	took := cluster.Until(t, 5*d.limit, "the kernel is as it was", func() (bool, string) {
		now, err := cluster.ReadKernel(cluster.Within(t), n)
		return err == nil && now == b.Kernels[0], cluster.Differences(b.Kernels[0], now)
	})
	t.Logf("repaired after %v", took)
	if took.Min > d.limit {
		t.Errorf("repaired after %v, want at most %v", took, d.limit)
	}
	cut.ExpectGap(t, d.limit)
	whole.ExpectNothingLost(t)
	word := words.Replace(d.word)
	cluster.AwaitStatus(t, n, soon, "a repair of "+word, func(s cluster.Status) bool {
		return s.Ready && s.Repaired > before.Repaired && hasRepair(s, began, word)
	})
	if cluster.Metric(t, n, metric) <= counted {
		t.Errorf("%s did not grow", metric)
	}
	if text := n.LogText()[logged:]; !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.Contains(line, "repaired what another program changed") && strings.Contains(line, word)
	}) {
		t.Errorf("the log names no repair of %s:\n%s", word, text)
	}
}

// hasRepair reports whether a repair since a time contains a word. What several rounds repaired is several repairs.
func hasRepair(s cluster.Status, since time.Time, word string) bool {
	for _, r := range s.Repairs {
		if r.Time.After(since) && strings.Contains(r.What, word) {
			return true
		}
	}
	return false
}

// floodAround starts a flood in two parts. A disturbance must not interrupt whole. It may interrupt cut.
func (b *bed) floodAround(t *testing.T, cuts path) (whole, cut cluster.Flood) {
	t.Helper()
	for _, pair := range b.pairs(b.Nodes...) {
		for i, s := range cluster.StartFlood(t, pair) {
			if pair[0].Node == b.Nodes[0] && cuts.holds(b, pair[1].Node, pair[0].Addrs[i]) {
				cut = append(cut, s)
			} else {
				whole = append(whole, s)
			}
		}
	}
	return whole, cut
}

// wordsOf returns a replacer for these words in a command. The digit is the family.
//   - OWN4, PEER4, THIRD4: the first address of the pod subnet of the first, second and third node
//   - HOST4, PEERHOST4, THIRDHOST4: their addresses on the underlay
//   - MAC4: the second node's VTEP
//   - METRIC4: the metric of the route to the second node
func (b *bed) wordsOf(t *testing.T) *strings.Replacer {
	t.Helper()
	n, peer, third := b.Nodes[0], b.Nodes[1], b.Nodes[2]
	var words []string
	for i, a := range b.podsOf(peer)[0].Addrs {
		f := map[bool]string{true: "4", false: "6"}[a.Is4()]
		overlay := cluster.OverlayAddr(t, peer, a)
		route := strings.Fields(cluster.Run(t, n.Place, fmt.Sprintf("ip -%s route show %s/%d", f, overlay, 24+40*i)))
		neighbour := strings.Fields(cluster.Run(t, n.Place, "ip neigh show "+overlay.String()))
		words = append(words,
			"PEERHOST"+f, cluster.UnderlayAddr(t, peer, a).String(),
			"THIRDHOST"+f, cluster.UnderlayAddr(t, third, a).String(),
			"HOST"+f, cluster.UnderlayAddr(t, n, a).String(),
			"PEER"+f, overlay.String(),
			"THIRD"+f, cluster.OverlayAddr(t, third, a).String(),
			"OWN"+f, cluster.OverlayAddr(t, n, a).String(),
			"MAC"+f, wordAfter(t, neighbour, "lladdr"),
			"METRIC"+f, wordAfter(t, route, "metric"))
	}
	return strings.NewReplacer(words...)
}

// wordAfter returns the word that follows a word.
func wordAfter(t *testing.T, words []string, word string) string {
	t.Helper()
	for i, w := range words[:max(0, len(words)-1)] {
		if w == word {
			return words[i+1]
		}
	}
	t.Fatalf("no %s in %q", word, words)
	return ""
}
