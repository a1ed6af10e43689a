package nft

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
)

const siteWithTwoHosts = `table inet site {
	set hosts4 {
		type ipv4_addr
		elements = { 198.18.0.3, 198.18.0.4 }
	}

	set hosts6 {
		type ipv6_addr
		elements = { 2001:db8::2 }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		ip saddr @hosts4 jump known
	}

	chain known {
		counter drop comment "known_hosts"
	}
}`

func TestElementsChangeOneByOne(t *testing.T) {
	n := newNode(t)
	n.apply(table(siteID, "198.18.0.2", "198.18.0.3", "2001:db8::2"))
	handles := n.sh("nft -a list chain inet site input")
	want := table(siteID, "198.18.0.3", "198.18.0.4", "2001:db8::2")
	equal(t, "ops", n.apply(want), "add element inet site hosts4 198.18.0.4\ndelete element inet site hosts4 198.18.0.2")
	equal(t, "chain", n.sh("nft -a list chain inet site input"), handles)
	equal(t, "table", n.list(siteID), siteWithTwoHosts)
}

func TestEqualTableIsNotWritten(t *testing.T) {
	n := newNode(t)
	want := table(siteID, "198.18.0.2")
	n.apply(want)
	_, before := n.read()
	equal(t, "ops", n.apply(want), "")
	if _, after := n.read(); after != before {
		t.Errorf("the generation went from %d to %d", before, after)
	}
}

func TestChangesByHandAreRepaired(t *testing.T) {
	want := table(siteID, "198.18.0.2", "2001:db8::2")
	const emptied = "nft delete table inet site; nft add table inet site; "
	for name, c := range map[string]struct{ edit, op string }{
		"element added":       {"nft add element inet site hosts4 '{ 203.0.113.9 }'", "delete element inet site hosts4 203.0.113.9"},
		"element deleted":     {"nft delete element inet site hosts6 '{ 2001:db8::2 }'", "add element inet site hosts6 2001:db8::2"},
		"set flushed":         {"nft flush set inet site hosts4", "add element inet site hosts4 198.18.0.2"},
		"set of another type": {emptied + "nft add set inet site hosts4 '{ type ipv6_addr; }'", "replace set inet site hosts4 { type ipv4_addr; }"},
		"set of intervals": {emptied + "nft add set inet site hosts4 '{ type ipv4_addr; flags interval; elements = { 198.18.0.0/24 }; }'",
			"replace set inet site hosts4 { type ipv4_addr; }"},
		"lookup inverted": {"h=$(nft -a list chain inet site input | sed -n 's/.*hosts4.*handle //p'); nft replace rule inet site input handle $h ip saddr != @hosts4 jump known",
			"add rule inet site input ip saddr @hosts4 jump known"},
		"rule twice":        {"nft add rule inet site known counter drop comment known_hosts", "replace rule inet site known (duplicate or wrong order)"},
		"chain added":       {"nft add chain inet site mine", "delete chain inet site mine"},
		"map added":         {"nft add map inet site mine '{ type ipv4_addr : verdict; }'", "delete set inet site mine"},
		"counter added":     {"nft add counter inet site mine", "replace table inet site: it has objects that are not podlane's"},
		"table deactivated": {"nft add table inet site '{ flags dormant; }'", "replace table inet site: it is dormant or has an owner"},
		"table deleted":     {"nft delete table inet site", "add table inet site"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.apply(want)
			before := n.list(siteID)
			n.sh(c.edit)
			if got := n.apply(want); !strings.Contains(got, c.op) {
				t.Errorf("got ops\n%s\nwant one that is\n%s", got, c.op)
			}
			equal(t, "table", n.list(siteID), before)
		})
	}
}

func TestTwoTablesAreIndependent(t *testing.T) {
	n := newNode(t)
	site, lab := table(siteID, "198.18.0.2"), table(labID, "198.18.0.3")
	lab.Chains[0].Rules[0].Exprs = lab.Chains[0].Rules[0].Exprs[2:] // family ip needs no match of the family
	n.apply(site)
	n.apply(lab)
	n.sh("nft add table inet other; nft add chain inet other c; nft add rule inet other c counter accept")
	others := n.sh("nft -a list table ip lab; nft -a list table inet other")
	for name, want := range map[string]Table{
		"element changed": table(siteID, "198.18.0.9"),
		"rules changed":   {ID: siteID, Sets: site.Sets, Chains: []Chain{{Name: "input", Base: site.Chains[0].Base}, site.Chains[1]}},
		"table replaced":  {ID: siteID, Chains: []Chain{{Name: "known"}}},
	} {
		if n.apply(want) == "" {
			t.Errorf("%s: nothing was written", name)
		}
		equal(t, name+": the other tables", n.sh("nft -a list table ip lab; nft -a list table inet other"), others)
		n.apply(site)
	}
	all, _ := n.read(siteID, labID)
	n.do(func() error { return Commit(siteID.Remove(all[0])) })
	equal(t, "tables", n.sh("nft list tables"), "table ip lab\ntable inet other")
	equal(t, "the other tables", n.sh("nft -a list table ip lab; nft -a list table inet other"), others)
	if p := siteID.Remove(Installed{}); len(p.Ops) > 0 || len(p.Steps) > 0 {
		t.Errorf("a table that does not exist is deleted: %s", text(p.Ops))
	}
}

func TestTenThousandElements(t *testing.T) {
	n := newNode(t)
	var all []string
	for i := range 10000 {
		all = append(all, fmt.Sprintf("10.%d.%d.%d", 64+i>>16, i>>8&255, i&255), fmt.Sprintf("2001:db8::%x", i+1))
	}
	n.apply(table(siteID, all...))
	if p := n.plan(table(siteID, all[2:]...)); len(p.Ops) != 2 {
		t.Errorf("one host of each family deleted: got %d ops, want 2", len(p.Ops))
	}
	n.apply(table(siteID, "198.18.0.2"))
}

func TestRewriteKeepsCounts(t *testing.T) {
	n := newNode(t)
	want := table(siteID)
	n.apply(want)
	n.sh("nft flush chain inet site known; nft add rule inet site known counter packets 7 bytes 700 drop comment known_hosts; nft add rule inet site known accept")
	n.apply(want)
	have, _ := n.read(siteID)
	c, ok := have[0].RulesOf("known")[0].Counter()
	if !ok || c.Packets != 7 || c.Bytes != 700 {
		t.Errorf("got counter %+v, want 7 packets and 700 bytes", c)
	}
}

// Packets add the elements of a dynamic set. They are no difference, and the next write deletes them.
func TestDynamicSetIsFlushedWithAWrite(t *testing.T) {
	n := newNode(t)
	want := table(siteID, "198.18.0.2")
	want.Sets = append(want.Sets, Set{Name: "seen", KeyType: nftables.TypeIPAddr, Dynamic: Dynamic{Size: 8, Timeout: time.Minute}})
	n.apply(want)
	n.sh("nft add element inet site seen '{ 203.0.113.9 }'")
	equal(t, "ops", n.apply(want), "")
	want.Sets[0].Elements = nil
	equal(t, "ops", n.apply(want), "delete element inet site hosts4 198.18.0.2")
	have, _ := n.read(siteID)
	if seen, _ := have[0].Set("seen"); len(seen.Elements) > 0 {
		t.Errorf("the dynamic set still has %d elements", len(seen.Elements))
	}
}

func TestRefusedStepIsNamedAndNothingIsWritten(t *testing.T) {
	n := newNode(t)
	want := table(siteID, "198.18.0.2")
	want.Chains[0].Rules = append(want.Chains[0].Rules, Rule{Text: "jump absent", Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "absent"}}})
	err := n.ns.Do(func() error { return Commit(want.Plan(Installed{})) })
	var failure kernel.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got error %v, want a kernel.Failure", err)
	}
	equal(t, "op", failure.Op.String(), "add rule inet site input jump absent")
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("got error %v, want ENOENT", err)
	}
	if !strings.Contains(err.Error(), "another program changed the table at the same time") {
		t.Errorf("error %v has no explanation", err)
	}
	equal(t, "rule set", n.sh("nft list ruleset"), "")
}

// The message with these elements is larger than the buffer for the kernel's answer.
func TestRefusedLargeStepIsNamed(t *testing.T) {
	n := newNode(t)
	var hosts []string
	for i := range 2500 {
		hosts = append(hosts, fmt.Sprintf("10.64.%d.%d", i>>8, i&255))
	}
	n.apply(table(siteID, hosts...))
	stale := n.plan(table(siteID))
	n.sh("nft flush set inet site hosts4")
	err := n.ns.Do(func() error { return Commit(stale) })
	var failure kernel.Failure
	if !errors.As(err, &failure) || !errors.Is(err, unix.ENOENT) {
		t.Fatalf("got error %v, want a kernel.Failure with ENOENT", err)
	}
	equal(t, "op", failure.Op.String(), "delete 2500 elements of set inet site hosts4")
}

// Another program changes the table between the read and the write.
func TestLostRaceIsRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		edit string
		op   string // that the kernel refuses; empty if it accepts the stale plan
	}{
		"table deleted":   {"nft delete table inet site", "add element inet site hosts4 198.18.0.3"},
		"element added":   {"nft add element inet site hosts4 '{ 198.18.0.3 }'", ""},
		"element deleted": {"nft delete element inet site hosts4 '{ 198.18.0.2 }'", "delete element inet site hosts4 198.18.0.2"},
		"rule added":      {"nft add rule inet site known accept", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.apply(table(siteID, "198.18.0.2"))
			want := table(siteID, "198.18.0.3")
			stale := n.plan(want)
			n.sh(c.edit)
			err := n.ns.Do(func() error { return Commit(stale) })
			var failure kernel.Failure
			if errors.As(err, &failure); failure.Op.String() != c.op && (err != nil || c.op != "") {
				t.Errorf("got error %v, want one about %q", err, c.op)
			}
			n.apply(want)
		})
	}
}

func TestInterruptedReadIsRepeated(t *testing.T) {
	n := newNode(t)
	n.apply(table(siteID, "198.18.0.2"))
	var reads int
	var in Installed
	n.do(func() error {
		c, err := Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Consistent(func(uint32) error {
			o, err := c.Overview()
			if err != nil {
				return err
			}
			if reads++; reads < 3 {
				n.sh(fmt.Sprintf("nft add element inet site hosts4 '{ 198.18.1.%d }'", reads))
			}
			in, err = c.Content(o, siteID, nil)
			return err
		})
		return err
	})
	if reads != 3 {
		t.Errorf("got %d reads, want 3", reads)
	}
	if hosts, _ := in.Set("hosts4"); len(hosts.Elements) != 3 {
		t.Errorf("the last read has %d hosts, want 3", len(hosts.Elements))
	}
}

func TestReadFailsIfTheRuleSetKeepsChanging(t *testing.T) {
	n := newNode(t)
	n.sh("nft add table inet other")
	err := n.ns.Do(func() error {
		c, err := Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Consistent(func(uint32) error {
			n.sh("nft add chain inet other c; nft delete chain inet other c")
			return nil
		})
		return err
	})
	if !errors.Is(err, errChanged) {
		t.Errorf("got error %v, want %v", err, errChanged)
	}
}

func TestLookupReadsOneKey(t *testing.T) {
	n := newNode(t)
	n.apply(table(siteID, "198.18.0.2"))
	n.sh("nft add map inet site verdicts '{ type ipv4_addr : verdict; elements = { 198.18.0.2 : drop }; }'")
	n.do(func() error {
		c, err := Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		for _, l := range []struct {
			set   string
			key   []byte
			found bool
			value bool
		}{
			{"hosts4", []byte{198, 18, 0, 2}, true, false},
			{"hosts4", []byte{198, 18, 0, 3}, false, false},
			{"verdicts", []byte{198, 18, 0, 2}, true, true},
			{"absent", []byte{198, 18, 0, 2}, false, false},
		} {
			data, found, err := c.Lookup(siteID, l.set, l.key)
			if err != nil {
				return err
			}
			if _, value := data.Find(unix.NFTA_DATA_VERDICT); found != l.found || value != l.value {
				t.Errorf("%s, %v: got found %v, verdict %v; want %v, %v", l.set, l.key, found, value, l.found, l.value)
			}
		}
		length, err := c.KeyLength(siteID, "hosts6")
		if length != 16 {
			t.Errorf("got a key of %d bytes for IPv6, want 16", length)
		}
		return err
	})
}

func TestErrorsAreExplained(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{explain(unix.EPROTONOSUPPORT), "the kernel has no nftables"},
		{explain(unix.EINVAL), "the kernel has no nftables"},
		{explain(unix.ENOBUFS), "no buffer space"},
		{explainWrite(unix.EPERM), "needs CAP_NET_ADMIN"},
		{explainWrite(unix.ENOENT), "lacks a part of nftables"},
		{explainWrite(unix.EBUSY), "resource busy"},
	} {
		if !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %q, want it to contain %q", c.err, c.want)
		}
	}
}
