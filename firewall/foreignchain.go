package firewall

import (
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/nft"
)

// chainOutcome is what another program's base chain does to packets that podlane needs.
type chainOutcome struct {
	chain  nft.KernelChain
	packet eval.Packet
	eval.Outcome
	ifNew eval.Outcome // only for untracked packets: the outcome if their state were "new"
}

// evaluateChains evaluates the chains of other programs for the packets that the node needs. It returns an error if the chains
// change faster than it can read them.
func evaluateChains(r Rules) (outcomes []chainOutcome, generation uint32, err error) {
	c, err := nft.Dial()
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	packets := requiredPackets(r)
	generation, err = c.Consistent(func(uint32) (err error) {
		outcomes, err = outcomesOf(c, r, packets)
		return err
	})
	return outcomes, generation, err
}

// outcomesOf returns what each chain of another program does to each of the packets that reach it.
func outcomesOf(conn *nft.Conn, r Rules, packets []eval.Packet) (outcomes []chainOutcome, err error) {
	all, err := conn.Overview()
	if err != nil {
		return nil, err
	}
	others := newForeignRules(conn)
	for _, c := range all.Chains {
		if !isForeignFilter(c, all.Tables) {
			continue
		}
		if c.Table.Family == nftables.TableFamilyBridge {
			packets = withBridges(packets, r)
		}
		chain, table := eval.BaseChain{KernelChain: c}, foreignTable{others, c.Table}
		for _, p := range packets {
			if !chain.Sees(p) {
				continue
			}
			o := chainOutcome{chain: c, packet: p, Outcome: chain.Evaluate(p, table)}
			if p.State == eval.Untracked {
				p.State = eval.New
				o.ifNew = chain.Evaluate(p, table)
			}
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, others.err
}

// isForeignFilter reports whether a chain is another program's base chain that filters.
func isForeignFilter(c nft.KernelChain, tables []nft.KernelTable) bool {
	const dormant = 1 // NFT_TABLE_F_DORMANT
	return c.Base.Type != "" && c.Base.Type != nftables.ChainTypeNAT && c.Table != ownID &&
		!slices.ContainsFunc(tables, func(t nft.KernelTable) bool { return t.ID == c.Table && t.Flags&dormant != 0 })
}

// withBridges adds the packets that pods send over bridges.
func withBridges(packets []eval.Packet, r Rules) []eval.Packet {
	if slices.ContainsFunc(packets, func(p eval.Packet) bool { return p.Traffic == eval.Bridged }) {
		return packets
	}
	for _, name := range r.PodInterfaces {
		if isBridge(name) {
			packets = append(slices.Clip(packets), bridgePackets(r, name)...)
		}
	}
	return packets
}

// isBridge reports whether an interface is a bridge. It asks the kernel for the driver's name.
func isBridge(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	return err == nil && unix.ByteSliceToString(info.Driver[:]) == "bridge"
}
