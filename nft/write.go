package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
)

// commitTimeout is the longest time for a transaction. 20,000 elements take some 0.2 s.
const commitTimeout = 10 * time.Second

// Commit executes a plan in one transaction. The kernel applies all of it, or nothing. Commit works in the calling thread's
// network namespace. If the kernel refuses a step, the error is a kernel.Failure with its op. If the kernel refuses the
// transaction as a whole, the failure has the plan's first op.
func Commit(p Plan) error {
	if len(p.Steps) == 0 {
		return nil
	}
	var socket *netlink.Conn
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(n *netlink.Conn) error {
		socket = n
		return prepare(n)
	}))
	if err != nil {
		return fmt.Errorf("open an nftables socket: %w", explain(err))
	}
	defer func() { _ = c.CloseLasting() }()
	for _, s := range p.Steps {
		if err := s.Add(c); err != nil {
			return kernel.Failure{Op: s.Op, Err: err}
		}
	}
	before, err := sequence(socket)
	if err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return p.failure(err, before)
	}
	return nil
}

// prepare makes the send buffer large enough for a whole transaction, with some 20 bytes for each element. The kernel allocates
// the memory only if it is used. The deadline matters if the kernel refuses a transaction as a whole. Then it sends one answer,
// but the library waits for one to each message.
func prepare(c *netlink.Conn) error {
	return errors.Join(c.SetWriteBuffer(16<<20), c.SetDeadline(time.Now().Add(commitTimeout)))
}

// sequence returns the current sequence number of the socket. It sends a request that changes nothing, and reads the number
// from the answer.
func sequence(c *netlink.Conn) (uint32, error) {
	answers, err := (&Conn{c}).ask(unix.NFT_MSG_GETGEN, 0, nftables.TableFamilyUnspecified)
	switch {
	case err != nil:
		return 0, explain(err)
	case len(answers) == 0:
		return 0, errors.New("read nftables: the kernel did not answer")
	}
	return answers[0].sequence, nil
}

// failure names the step that an error is about, by its sequence number:
//
//	| before | start of the transaction | step 0 | step 1 | ...
func (p Plan) failure(err error, before uint32) kernel.Failure {
	f := kernel.Failure{Op: p.Steps[0].Op}
	if len(p.Ops) > 0 {
		f.Op = p.Ops[0]
	}
	var refused *netlink.OpError
	if errors.As(err, &refused) {
		if i := refused.Sequence - before - 2; i < uint32(len(p.Steps)) { //nolint:gosec // few; the numbers may wrap around
			f.Op, err = p.Steps[i].Op, refused // later errors are only consequences of this one
		}
	}
	f.Err = fmt.Errorf("write nftables: %w", explainWrite(err))
	return f
}

// rebuild replaces the whole table.
func (t Table) rebuild(have Installed) (steps []Step) {
	add := func(verb, kind, object string, add func(*nftables.Conn) error) {
		steps = append(steps, Step{kernel.Op{Verb: verb, Kind: kind, Object: object}, add})
	}
	steps = t.Remove(have).Steps
	add("add", "table", t.text(), func(c *nftables.Conn) error {
		c.AddTable(t.nft())
		return nil
	})
	for _, s := range t.Sets {
		add("add", "set", t.setText(s), func(c *nftables.Conn) error { return c.AddSet(s.nft(t.ID), nil) })
		steps = append(steps, t.changeElements(s, s.Elements, nil)...)
	}
	for _, ch := range t.Chains { // all chains before the first rule, because a rule may jump to any
		add("add", "chain", t.chainText(ch), func(c *nftables.Conn) error {
			c.AddChain(ch.nft(t.ID))
			return nil
		})
	}
	for _, ch := range t.Chains {
		steps = append(steps, t.addRules(ch, have.RulesOf(ch.Name))...)
	}
	return steps
}

// rewriteChain replaces all rules of a chain.
func (id ID) rewriteChain(ch Chain, have []KernelRule) []Step {
	flush := step(kernel.Op{Verb: "replace", Kind: "chain", Object: id.at("chain", ch.Name)}, func(c *nftables.Conn) { c.FlushChain(ch.nft(id)) })
	return append([]Step{flush}, id.addRules(ch, have)...)
}

func (id ID) addRules(ch Chain, have []KernelRule) (steps []Step) {
	for _, r := range keepCounts(ch.Rules, have) {
		op := kernel.Op{Verb: "add", Kind: "rule", Object: id.at("rule", ch.Name) + " " + r.String()}
		steps = append(steps, step(op, func(c *nftables.Conn) {
			c.AddRule(&nftables.Rule{Table: id.nft(), Chain: ch.nft(id), Exprs: r.Exprs, UserData: r.UserData()})
		}))
	}
	return steps
}

// keepCounts returns the rules with the counts of the same rules in the kernel. So a rewrite does not reset them. What the
// kernel counts between the read and the write is lost.
func keepCounts(rules []Rule, have []KernelRule) []Rule {
	rules = slices.Clone(rules)
	for i, r := range rules {
		at := slices.IndexFunc(r.Exprs, func(e expr.Any) bool { _, ok := e.(*expr.Counter); return ok })
		same := slices.IndexFunc(have, r.Same)
		if at < 0 || same < 0 {
			continue
		}
		if c, ok := have[same].Counter(); ok {
			rules[i].Exprs = slices.Clone(r.Exprs)
			rules[i].Exprs[at] = c
		}
	}
	return rules
}

// The sizes of the elements in one message, in bytes. They are in one attribute, which has at most 64 KiB. An element is three
// nested attributes, each with a header of 4 bytes, and its key.
const (
	maxList        = 60_000
	elementHeaders = 16 // at most
)

// perMessage returns how many elements one message has at most.
func (s Set) perMessage() int { return maxList / (elementHeaders + int(s.KeyType.Bytes)) }

func (id ID) changeElements(s Set, missing, extra []Element) (steps []Step) {
	change := func(verb string, elements []Element, message func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error) {
		for part := range slices.Chunk(elements, s.perMessage()) {
			op := kernel.Op{Verb: verb, Kind: "element", Object: id.at("element", s.Name) + " " + s.elementText(part[0])}
			if len(part) > 1 {
				op.Object = fmt.Sprintf("%d elements of %s", len(part), id.at("set", s.Name))
			}
			steps = append(steps, Step{op, func(c *nftables.Conn) error { return message(c, s.nft(id), setElements(part)) }})
		}
	}
	change("add", missing, (*nftables.Conn).SetAddElements)
	change("delete", extra, (*nftables.Conn).SetDeleteElements)
	return steps
}

func setElements(elements []Element) []nftables.SetElement {
	list := make([]nftables.SetElement, len(elements))
	for i, e := range elements {
		list[i].Key = []byte(e.Key)
	}
	return list
}

func (c Chain) nft(id ID) *nftables.Chain {
	n := &nftables.Chain{Name: c.Name, Table: id.nft()}
	if b := c.Base; b != (Base{}) {
		n.Type, n.Hooknum, n.Priority, n.Policy = b.Type, &b.Hook, &b.Priority, &b.Policy
	}
	return n
}
