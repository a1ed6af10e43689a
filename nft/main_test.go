package nft

import (
	"net/netip"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// siteID and labID are two tables of different owners.
var (
	siteID = ID{nftables.TableFamilyINet, "site"}
	labID  = ID{nftables.TableFamilyIPv4, "lab"}
)

// fromHosts matches IPv4 sources in the set hosts4.
var fromHosts = []expr.Any{
	&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
	&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{unix.NFPROTO_IPV4}},
	&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4},
	&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: "hosts4"},
}

func verdict(v *expr.Verdict) expr.Any { return v }

var (
	accept  = verdict(&expr.Verdict{Kind: expr.VerdictAccept})
	drop    = verdict(&expr.Verdict{Kind: expr.VerdictDrop})
	toKnown = verdict(&expr.Verdict{Kind: expr.VerdictJump, Chain: "known"})
)

// table returns a table with two sets. Its base chain looks up in one and jumps to another chain.
func table(id ID, addrs ...string) Table {
	hosts4, hosts6 := Set{Name: "hosts4", KeyType: nftables.TypeIPAddr}, Set{Name: "hosts6", KeyType: nftables.TypeIP6Addr}
	for _, text := range addrs {
		if a := netip.MustParseAddr(text); a.Is4() {
			hosts4.Elements = append(hosts4.Elements, Element{string(a.AsSlice())})
		} else {
			hosts6.Elements = append(hosts6.Elements, Element{string(a.AsSlice())})
		}
	}
	return Table{ID: id, Sets: []Set{hosts4, hosts6}, Chains: []Chain{
		{Name: "input", Rules: []Rule{{Text: "ip saddr @hosts4 jump known", Exprs: append(fromHosts[:len(fromHosts):len(fromHosts)], toKnown)}}, Base: Base{
			Type: nftables.ChainTypeFilter, Hook: *nftables.ChainHookInput, Priority: *nftables.ChainPriorityFilter, Policy: nftables.ChainPolicyAccept,
		}},
		{Name: "known", Rules: []Rule{{Text: "counter drop", Exprs: []expr.Any{&expr.Counter{}, drop}, Comment: "known_hosts"}}},
	}}
}

// node is a network namespace.
type node struct {
	ns sandbox.Namespace
	*testing.T
}

func newNode(t *testing.T) *node {
	t.Helper()
	return &node{sandbox.Test(t, "node"), t}
}

// sh runs a script in the namespace and returns its output.
func (n *node) sh(script string) string {
	n.Helper()
	out, err := n.ns.Run("sh", "-e", "-c", script)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

// do runs f in the namespace.
func (n *node) do(f func() error) {
	n.Helper()
	if err := n.ns.Do(f); err != nil {
		n.Fatal(err)
	}
}

// read returns the content of tables at one generation.
func (n *node) read(ids ...ID) (all []Installed, generation uint32) {
	n.Helper()
	n.do(func() error {
		c, err := Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		generation, err = c.Consistent(func(uint32) error {
			all = nil
			o, err := c.Overview()
			if err != nil {
				return err
			}
			for _, id := range ids {
				in, err := c.Content(o, id, nil)
				if err != nil {
					return err
				}
				all = append(all, in)
			}
			return nil
		})
		return err
	})
	return all, generation
}

// plan compares the kernel with a wanted table.
func (n *node) plan(want Table) Plan {
	n.Helper()
	have, _ := n.read(want.ID)
	return want.Plan(have[0])
}

// apply writes a wanted table, verifies it, and returns the ops.
func (n *node) apply(want Table) string {
	n.Helper()
	p := n.plan(want)
	n.do(func() error { return Commit(p) })
	if more := n.plan(want); len(more.Ops) > 0 {
		n.Errorf("after the write this is still to do:\n%s", text(more.Ops))
	}
	return text(p.Ops)
}

// list returns a table as nft prints it.
func (n *node) list(id ID) string {
	n.Helper()
	return n.sh("nft -s list table " + id.String())
}

func text(ops []kernel.Op) string {
	var lines []string
	for _, op := range ops {
		lines = append(lines, op.String())
	}
	return strings.Join(lines, "\n")
}

// equal compares texts.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := gocmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
