package nft

import (
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// installed returns a table as the kernel would return it.
func installed(t testing.TB, want Table) Installed {
	t.Helper()
	in := Installed{Table: KernelTable{ID: want.ID, Use: uint32(len(want.Chains) + len(want.Sets))}}
	for _, s := range want.Sets {
		k := KernelSet{Name: s.Name, KeyType: s.KeyType.GetNFTMagic(), KeyLength: s.KeyType.Bytes, Elements: s.Elements, Size: s.Dynamic.Size, Timeout: s.Dynamic.Timeout}
		if s.Dynamic != (Dynamic{}) {
			k.Flags = unix.NFT_SET_EVAL | unix.NFT_SET_TIMEOUT
		}
		in.Sets = append(in.Sets, k)
	}
	for _, c := range want.Chains {
		in.Chains = append(in.Chains, KernelChain{Table: want.ID, Name: c.Name, Base: c.Base})
		for _, r := range c.Rules {
			k := KernelRule{Table: want.ID, Chain: c.Name, Handle: uint64(len(in.Rules) + 1), UserData: r.UserData()}
			for _, e := range r.Exprs {
				wire, err := expr.Marshal(byte(want.Family), e)
				if err != nil {
					t.Fatal(err)
				}
				k.Exprs = append(k.Exprs, wire)
			}
			in.Rules = append(in.Rules, k)
		}
	}
	return in
}

func TestPlan(t *testing.T) {
	first, second := Rule{Text: "counter accept", Exprs: []expr.Any{&expr.Counter{}, accept}}, Rule{Text: "drop", Exprs: []expr.Any{drop}}
	tableWith := func(rules ...Rule) Table { return Table{ID: siteID, Chains: []Chain{{Name: "c", Rules: rules}}} }
	counted := Rule{Exprs: []expr.Any{&expr.Counter{Packets: 7, Bytes: 700}, accept}}
	commented := Rule{Text: "drop", Exprs: second.Exprs, Comment: "why"}
	dynamic := Table{ID: siteID, Sets: []Set{{Name: "seen", KeyType: nftables.TypeIPAddr, Dynamic: Dynamic{8, time.Minute}}}}
	const rebuilt = true
	for name, c := range map[string]struct {
		have    Installed
		want    Table
		ops     string
		rebuilt bool
		steps   int
	}{
		"from nothing": {Installed{}, tableWith(first), "add table inet site\nadd chain inet site c\nadd rule inet site c counter accept", rebuilt, 3},
		"equal":        {installed(t, tableWith(first, second)), tableWith(first, second), "", false, 0},
		"counted":      {installed(t, tableWith(counted, second)), tableWith(first, second), "", false, 0},
		"rule added":   {installed(t, tableWith(first)), tableWith(first, second), "add rule inet site c drop", false, 3},
		"rule deleted": {installed(t, tableWith(first, second)), tableWith(second), "delete rule inet site c handle 1", false, 2},
		"rule replaced": {installed(t, tableWith(first)), tableWith(second),
			"add rule inet site c drop\ndelete rule inet site c handle 1", false, 2},
		"rules swapped": {installed(t, tableWith(first, second)), tableWith(second, first), "replace rule inet site c (duplicate or wrong order)", false, 3},
		"rule twice":    {installed(t, tableWith(first, first)), tableWith(first), "replace rule inet site c (duplicate or wrong order)", false, 2},
		"comment changed": {installed(t, tableWith(second)), tableWith(commented),
			"add rule inet site c drop comment \"why\"\ndelete rule inet site c handle 1", false, 2},
		"chain added":   {installed(t, Table{ID: siteID}), tableWith(), "add chain inet site c", rebuilt, 3},
		"chain deleted": {installed(t, tableWith(first)), Table{ID: siteID}, "delete chain inet site c", rebuilt, 2},
		"set deleted":   {installed(t, dynamic), Table{ID: siteID}, "delete set inet site seen", rebuilt, 2},
		"dynamic set":   {installed(t, dynamic), dynamic, "", false, 0},
		"bound changed": {installed(t, dynamic), Table{ID: siteID, Sets: []Set{{Name: "seen", KeyType: nftables.TypeIPAddr, Dynamic: Dynamic{9, time.Minute}}}},
			"replace set inet site seen { type ipv4_addr; size 9; flags dynamic,timeout; timeout 60s; }", rebuilt, 3},
	} {
		p := c.want.Plan(c.have)
		equal(t, name, text(p.Ops), c.ops)
		if len(p.Steps) != c.steps {
			t.Errorf("%s: got %d steps, want %d", name, len(p.Steps), c.steps)
		}
		if rebuilds := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op.Kind == "table" }); rebuilds != c.rebuilt {
			t.Errorf("%s: got a rebuild: %v, want %v", name, rebuilds, c.rebuilt)
		}
	}
}

// A change must not hide in an attribute that a library does not know.
func TestSameRule(t *testing.T) {
	r := Rule{Exprs: []expr.Any{&expr.Masq{FullyRandom: true}, &expr.Counter{}}, Comment: "why"}
	in := installed(t, Table{ID: siteID, Chains: []Chain{{Name: "c", Rules: []Rule{r}}}}).Rules[0]
	change := func(f func(*KernelRule)) KernelRule {
		k := in
		k.Exprs = slices.Clone(in.Exprs)
		f(&k)
		return k
	}
	unknown := []byte{8, 0, 99, 0, 0, 0, 0, 1}
	for name, c := range map[string]struct {
		rule KernelRule
		same bool
	}{
		"equal":             {in, true},
		"expression less":   {change(func(k *KernelRule) { k.Exprs = k.Exprs[:1] }), false},
		"expression more":   {change(func(k *KernelRule) { k.Exprs = append(k.Exprs, k.Exprs[1]) }), false},
		"order":             {change(func(k *KernelRule) { slices.Reverse(k.Exprs) }), false},
		"unknown attribute": {change(func(k *KernelRule) { k.Exprs[0] = append(slices.Clone(k.Exprs[0]), unknown...) }), false},
		"unknown zero":      {change(func(k *KernelRule) { k.Exprs[0] = append(slices.Clone(k.Exprs[0]), 8, 0, 99, 0, 0, 0, 0, 0) }), true},
		"another comment":   {change(func(k *KernelRule) { k.UserData = Rule{Comment: "mine"}.UserData() }), false},
		"no comment":        {change(func(k *KernelRule) { k.UserData = nil }), false},
	} {
		if got := r.Same(c.rule); got != c.same {
			t.Errorf("%s: got %v, want %v", name, got, c.same)
		}
	}
	if got := in.Comment(); got != "why" {
		t.Errorf("got comment %q, want %q", got, "why")
	}
}

func FuzzAnswers(f *testing.F) {
	for _, c := range table(siteID).Chains {
		for _, r := range c.Rules {
			for _, e := range r.Exprs {
				wire, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(wire)
			}
		}
	}
	f.Add(Rule{Comment: "podlane"}.UserData())
	f.Add([]byte{0, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := answer{attrs: b}
		parseTable(a)
		parseChain(a)
		parseSet(a)
		_ = parseRule(a).Comment()
		_ = KernelRule{UserData: b, Exprs: []Attrs{b}}.Comment()
		KernelRule{Exprs: []Attrs{b}}.Counter()
		(&KernelSet{KeyLength: 4}).addElements([]Attrs{b, b})
		parseEvents([]netlink.Message{{Data: b}})
		if Attrs(b).every(func(a attribute) bool { return !a.nested }) && !equalAttributes(b, b) {
			t.Error("attributes are not equal to themselves")
		}
	})
}
