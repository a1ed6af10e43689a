package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"

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
	messages, err := p.messages()
	if err != nil {
		return err
	}
	c, err := Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := prepare(c.conn); err != nil {
		return err
	}
	if messages, err = c.conn.SendMessages(messages); err != nil {
		return p.failure(err, 0)
	}
	if _, err := c.conn.Receive(); err != nil {
		return p.failure(err, messages[0].Header.Sequence)
	}
	return nil
}

// messages returns the messages of the transaction: its start, the steps, its end. The library would request an acknowledgement of
// each step and a copy of each rule, and receive each with two system calls. So it gets a function in place of the socket, and only
// the last step requests an acknowledgement. The kernel reports the steps that it refuses in any case, in order. So the first answer
// decides.
func (p Plan) messages() (messages []netlink.Message, err error) {
	c, err := nftables.New(nftables.WithTestDial(func(all []netlink.Message) ([]netlink.Message, error) {
		messages = append(messages, all...)
		return nil, errNotSent
	}))
	if err != nil {
		return nil, err
	}
	for _, s := range p.Steps {
		if err := s.Add(c); err != nil {
			return nil, kernel.Failure{Op: s.Op, Err: err}
		}
	}
	if err := c.Flush(); !errors.Is(err, errNotSent) {
		return nil, fmt.Errorf("write nftables: %w", err)
	}
	for i := range messages {
		h := &messages[i].Header
		h.Sequence, h.PID = 0, 0 // the socket that sends them sets both
		h.Flags &^= netlink.Acknowledge | netlink.Echo
	}
	messages[len(messages)-2].Header.Flags |= netlink.Acknowledge // the last step
	return messages, nil
}

var errNotSent = errors.New("the messages are not sent yet")

// prepare makes the send buffer large enough for a whole transaction, with some 20 bytes for each element. The kernel allocates
// the memory only if it is used. An error must not repeat the refused message, which may be larger than the receive buffer.
func prepare(c *netlink.Conn) error {
	return errors.Join(c.SetWriteBuffer(16<<20), c.SetOption(netlink.CapAcknowledge, true), c.SetDeadline(time.Now().Add(commitTimeout)))
}

// failure names the step that an error is about, by its sequence number. start is that of the first message:
//
//	| start of the transaction | step 0 | step 1 | ...
func (p Plan) failure(err error, start uint32) kernel.Failure {
	f := kernel.Failure{Op: p.Steps[0].Op}
	if len(p.Ops) > 0 {
		f.Op = p.Ops[0]
	}
	var refused *netlink.OpError
	if errors.As(err, &refused) {
		if i := refused.Sequence - start - 1; i < uint32(len(p.Steps)) { //nolint:gosec // few; the numbers may wrap around
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
