package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// nodePair is two nodes with a pod each, and what filters the packets between them.
type nodePair struct {
	name  string
	nodes []*lab.Node // client's, server's
	pods  []*lab.Pod
	// tables are all nftables tables of each node. Without a table, connection tracking is off.
	tables []string
	// tunnelTracked means that connection tracking sees the VXLAN packets.
	tunnelTracked bool
}

// way returns the path between the pair's pods.
func (p nodePair) way() *way {
	return &way{from: p.pods[0].Place, to: p.pods[1].Place, addr: p.pods[1].Addrs[0]}
}

// leaveOverlay leaves the nodes only their bridge, their VXLAN device and the entries for their peers. It ends podlaned
// and removes its firewall.
func (p nodePair) leaveOverlay(ctx context.Context) error {
	for _, n := range p.nodes {
		if err := n.Kill(); err != nil {
			return err
		}
		if _, err := n.Run(ctx, "nft", "delete table inet podlane"); err != nil {
			return err
		}
	}
	return nil
}

// check sends packets between the pods. It returns an error if they passed other rules than the pair's.
func (p nodePair) check(ctx context.Context, peers int) error {
	before, err := p.ruleCounts(ctx)
	if err != nil {
		return err
	}
	t, err := p.way().turns(ctx, 20*time.Millisecond, "tcp", 1)
	if err != nil {
		return err
	}
	after, err := p.ruleCounts(ctx)
	if err != nil {
		return err
	}
	for i, n := range p.nodes {
		if err := p.checkNode(ctx, n, peers); err != nil {
			return fmt.Errorf("%s: %s: %w", p.name, n.Name, err)
		}
		if !p.flannel() {
			continue
		}
		// Each turn is at least a packet in each direction. A nat chain sees only the first packet of a connection.
		for chain, least := range map[string]int{forwardChain: 2 * t.Turns, natChain: 1} {
			if got := after[i][chain] - before[i][chain]; got < least {
				return fmt.Errorf("%s: %s: chain %s matched %d packets in %d turns, want at least %d", p.name, n.Name, chain, got, t.Turns, least)
			}
		}
	}
	return nil
}

// flannel reports whether the pair has flannel's rules.
func (p nodePair) flannel() bool { return slices.Contains(p.tables, "table ip nat") }

// ruleCounts returns the packets that flannel's chains matched on each node; nil without flannel's rules.
func (p nodePair) ruleCounts(ctx context.Context) (all []map[string]int, err error) {
	if !p.flannel() {
		return nil, nil
	}
	for _, n := range p.nodes {
		c, err := ruleCounts(ctx, n)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// checkNode checks the tables, entries and tracked connections of a node. turns must have sent packets between the pods.
func (p nodePair) checkNode(ctx context.Context, n *lab.Node, peers int) error {
	listed, err := n.Run(ctx, "nft", "list", "tables")
	if err != nil {
		return err
	}
	tables := slices.Sorted(slices.Values(strings.Split(strings.TrimSpace(listed), "\n")))
	if listed == "" {
		tables = nil
	}
	if !slices.Equal(tables, p.tables) {
		return fmt.Errorf("its tables are %q, want %q", tables, p.tables)
	}
	e, err := readEntries(ctx, n)
	if err == nil {
		err = e.expect(peers)
	}
	if err != nil {
		return err
	}
	for what, want := range map[uint16]bool{turnsPort: len(p.tables) > 0, vxlanPort: p.tunnelTracked} {
		flows, err := tracked(n, what)
		if err != nil {
			return err
		}
		if wanted := map[bool]string{true: "some", false: "none"}[want]; flows > 0 != want {
			return fmt.Errorf("connection tracking has %d connections to port %d, want %s", flows, what, wanted)
		}
	}
	return nil
}

// vxlanPort is the UDP port of the tunnel.
const vxlanPort = 8472

// tracked returns how many connections to a port are in a node's connection tracking.
func tracked(n *lab.Node, port uint16) (count int, err error) {
	err = n.Do(func() error {
		flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
		for _, f := range flows {
			if f.Forward.DstPort == port {
				count++
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list the connections of %s: %w", n.Name, err)
	}
	return count, nil
}

// checkAlike returns an error unless all pairs differ only in their rules.
func checkAlike(ctx context.Context, pairs []nodePair) error {
	var first []string
	for _, p := range pairs {
		for i, n := range p.nodes {
			d, err := devices(ctx, n, p.pods[i])
			if err != nil {
				return err
			}
			if first == nil {
				first = d
			}
			if !slices.Equal(d, first) {
				return fmt.Errorf("%s has other devices or settings than %s:\n%s\nwant\n%s", n.Name, pairs[0].nodes[0].Name, strings.Join(d, "\n"), strings.Join(first, "\n"))
			}
		}
	}
	return nil
}

// iface holds the properties of a network device that affect its speed, from the output of ip -details link.
type iface struct {
	Flags []string
	MTU   int
	Qdisc string
	GSO   int `json:"gso_max_size"`
	GRO   int `json:"gro_max_size"`
	TSO   int `json:"tso_max_size"`
	Info  struct {
		Kind string `json:"info_kind"`
		Data struct {
			Learning    bool
			UDPChecksum bool `json:"udp_csum"`
			Multicast   int  `json:"mcast_snooping"`
			VLANs       int  `json:"vlan_filtering"`
		} `json:"info_data"`
	} `json:"linkinfo"`
}

// devices returns the properties of a node's devices and of its pod's devices, in the order of their creation. The last
// two lines are the node's settings of br_netfilter.
func devices(ctx context.Context, n *lab.Node, p *lab.Pod) (all []string, err error) {
	for _, place := range []*lab.Place{n.Place, p.Place} {
		out, err := place.Run(ctx, "ip", "-details", "-json", "link")
		if err != nil {
			return nil, err
		}
		var found []iface
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			return nil, err
		}
		for _, d := range found {
			all = append(all, fmt.Sprintf("%+v", d))
		}
	}
	err = n.Do(func() error {
		for _, name := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
			value, err := os.ReadFile(filepath.Join("/proc/sys/net/bridge", name))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			all = append(all, name+" "+strings.TrimSpace(string(value)))
		}
		return nil
	})
	return all, err
}
