package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/podlane/podlane/lab"
)

// flannelRules returns the rules that flannel writes on a node for its pod subnet in the pod network, as input of
// iptables-restore. They are those of flannel's pkg/trafficmngr/iptables with --ip-masq and the default
// --iptables-forward-rules, in the same order and with the same comments. flannel writes no others, and does not exempt
// the tunnel from connection tracking.
func flannelRules(network, own netip.Prefix) string {
	var b strings.Builder
	table := func(name, chain, base, comment string, rules ...string) {
		fmt.Fprintf(&b, "*%s\n:%s - [0:0]\n", name, chain)
		comment = fmt.Sprintf(" -m comment --comment %q -j ", comment)
		fmt.Fprintf(&b, "-A %s%s%s\n", base, comment, chain)
		for _, r := range rules {
			match, target, _ := strings.Cut(r, " => ")
			fmt.Fprintf(&b, "-A %s %s%s%s\n", chain, match, comment, target)
		}
		b.WriteString("COMMIT\n")
	}
	n, o := network.String(), own.String()
	table("nat", natChain, "POSTROUTING", "flanneld masq",
		"-m mark --mark 0x4000/0x4000 => RETURN", // kube-proxy masquerades these
		"-s "+o+" -d "+n+" => RETURN",
		"-s "+n+" -d "+o+" => RETURN",
		"! -s "+n+" -d "+o+" => RETURN",
		"-s "+n+" ! -d 224.0.0.0/4 => MASQUERADE --random-fully",
		"! -s "+n+" -d "+n+" => MASQUERADE --random-fully",
	)
	table("filter", forwardChain, "FORWARD", "flanneld forward", "-s "+n+" => ACCEPT", "-d "+n+" => ACCEPT")
	return b.String()
}

// The names of flannel's chains.
const (
	natChain     = "FLANNEL-POSTRTG"
	forwardChain = "FLANNEL-FWD"
)

// addFlannelRules adds flannel's rules to a node of a lab with this pod network.
func addFlannelRules(ctx context.Context, n *lab.Node, network netip.Prefix) error {
	own, err := n.Subnet()
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("/run", "flannel") // /run of the sandbox, not of the host
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.WriteString(flannelRules(network, own.IPv4)); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = n.Run(ctx, "iptables-nft-restore", "--noflush", file.Name())
	return err
}

// ruleCounts returns how many packets the rules of each of flannel's chains have matched on a node.
func ruleCounts(ctx context.Context, n *lab.Node) (map[string]int, error) {
	saved, err := n.Run(ctx, "iptables-nft-save", "-c")
	if err != nil {
		return nil, err
	}
	return chainPackets(saved), nil
}

// countedRule matches a rule of iptables-save -c, which begins with the counts of packets and bytes.
var countedRule = regexp.MustCompile(`(?m)^\[(\d+):\d+\] -A (\S+) `)

// chainPackets sums the packets of each chain's rules.
func chainPackets(saved string) map[string]int {
	sum := map[string]int{}
	for _, m := range countedRule.FindAllStringSubmatch(saved, -1) {
		if packets, err := strconv.Atoi(m[1]); err == nil {
			sum[m[2]] += packets
		}
	}
	return sum
}
