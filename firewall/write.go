package firewall

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

func ownTable() *nftables.Table {
	return &nftables.Table{Name: Name, Family: nftables.TableFamilyINet}
}

// commit does all steps in one transaction, or none of them.
func commit(steps []step) error {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(prepare))
	if err != nil {
		return fmt.Errorf("open an nftables socket: %w", explain(err))
	}
	defer func() { _ = c.CloseLasting() }()
	for _, s := range steps {
		if err := s(c); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write nftables: %w", explainWrite(err))
	}
	return nil
}

// prepare lets the socket take a transaction whole, some 20 bytes for each element of a set (the memory is taken only
// as a transaction needs it), and ends it after a time: the library waits for an answer to every message, and where the
// kernel rejects the transaction as such there is only one.
func prepare(c *netlink.Conn) error {
	return errors.Join(c.SetWriteBuffer(16<<20), c.SetDeadline(time.Now().Add(patience)))
}

// patience is how long the kernel may take for a transaction. 20,000 elements take some 0.2 s.
const patience = 10 * time.Second

// rebuild makes the whole table anew.
func rebuild(have snapshot, want table) (steps []step) {
	steps = append(steps, func(c *nftables.Conn) error {
		if _, ok := have.own(); ok {
			c.DelTable(ownTable())
		}
		c.AddTable(ownTable())
		return nil
	})
	for _, s := range want.sets {
		steps = append(steps, func(c *nftables.Conn) error { return c.AddSet(s.nft(), nil) })
		steps = append(steps, changeElements(s, s.elements, nil)...)
	}
	for _, ch := range want.chains { // all of them before the first rule, for a rule may jump to any
		steps = append(steps, func(c *nftables.Conn) error {
			c.AddChain(ch.nft())
			return nil
		})
	}
	for _, ch := range want.chains {
		steps = append(steps, addRules(ch, have.in(nftables.TableFamilyINet, Name, ch.name)))
	}
	return steps
}

// rewriteChain puts the wanted rules in the place of whatever rules a chain has.
func rewriteChain(ch chain, have []heldRule) step {
	return func(c *nftables.Conn) error {
		c.FlushChain(ch.nft())
		return addRules(ch, have)(c)
	}
}

func addRules(ch chain, have []heldRule) step {
	return func(c *nftables.Conn) error {
		for _, r := range goOn(ch.rules, have) {
			c.AddRule(&nftables.Rule{Table: ownTable(), Chain: ch.nft(), Exprs: r.exprs, UserData: r.userdata()})
		}
		return nil
	}
}

func (c chain) nft() *nftables.Chain {
	n := &nftables.Chain{Name: c.name, Table: ownTable()}
	if b := c.base; b != (base{}) {
		n.Type, n.Hooknum, n.Priority, n.Policy = b.kind, &b.hook, &b.priority, &b.policy
	}
	return n
}
