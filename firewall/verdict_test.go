package firewall

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// ruleSet holds chains by name.
type ruleSet map[string][]effect

func (s ruleSet) walker() *walker {
	return &walker{effects: func(chain string) ([]effect, bool) {
		effects, ok := s[chain]
		return effects, ok
	}}
}

func TestFateOfPackets(t *testing.T) {
	on := func(m match, does action, to string) effect {
		return effect{match: m, does: does, to: to, rule: fmt.Sprint("rule ", m, does, to)}
	}
	all := func(does action, to string) effect { return on(always, does, to) }
	deep := ruleSet{}
	for i := range maxDepth + 2 {
		deep[fmt.Sprint(i)] = []effect{all(jumpTo, fmt.Sprint(i+1))}
	}
	deep["base"] = []effect{all(jumpTo, "0")}
	for name, c := range map[string]struct {
		set    ruleSet
		policy bool // drops
		want   string
	}{
		"empty":                               {ruleSet{"base": {}}, false, "passes"},
		"policy":                              {ruleSet{"base": {}}, true, "dropped"},
		"accept before policy":                {ruleSet{"base": {all(acceptIt, "")}}, true, "passes"},
		"drop of others":                      {ruleSet{"base": {on(never, dropIt, "")}}, false, "passes"},
		"drop of some":                        {ruleSet{"base": {on(some, dropIt, "")}}, false, "passes"},
		"accept of some":                      {ruleSet{"base": {on(some, acceptIt, ""), all(dropIt, "")}}, false, "open"},
		"drop under an unsupported condition": {ruleSet{"base": {on(unsupported, dropIt, "")}}, false, "open"},
		"both":                                {ruleSet{"base": {on(unsupported, dropIt, ""), all(dropIt, "")}}, false, "dropped"},
		"jump and back":                       {ruleSet{"base": {all(jumpTo, "a"), all(dropIt, "")}, "a": {all(returnBack, ""), all(acceptIt, "")}}, false, "dropped"},
		"goto and not back":                   {ruleSet{"base": {all(gotoChain, "a"), all(dropIt, "")}, "a": {all(carryOn, "")}}, false, "passes"},
		"goto within a jump":                  {ruleSet{"base": {all(jumpTo, "a"), all(dropIt, "")}, "a": {all(gotoChain, "b"), all(acceptIt, "")}, "b": {}}, false, "dropped"},
		"return in the base chain":            {ruleSet{"base": {all(returnBack, ""), all(acceptIt, "")}}, true, "dropped"},
		"some return":                         {ruleSet{"base": {all(jumpTo, "a")}, "a": {on(some, returnBack, ""), all(dropIt, "")}}, false, "open"},
		"unsupported return, then policy":     {ruleSet{"base": {on(unsupported, returnBack, ""), all(acceptIt, "")}}, true, "open"},
		"some jump":                           {ruleSet{"base": {on(some, jumpTo, "a")}, "a": {all(dropIt, "")}}, false, "passes"},
		"unsupported jump":                    {ruleSet{"base": {on(unsupported, jumpTo, "a")}, "a": {all(dropIt, "")}}, false, "open"},
		"unclear target":                      {ruleSet{"base": {all(unclear, "")}}, false, "open"},
		"unclear, then a drop":                {ruleSet{"base": {all(unclear, ""), all(dropIt, "")}}, false, "open"},
		"log":                                 {ruleSet{"base": {on(unsupported, carryOn, ""), all(dropIt, "")}}, false, "dropped"},
		"chain that cannot be read":           {ruleSet{"base": {all(jumpTo, "nowhere")}}, false, "open"},
		"loop":                                {ruleSet{"base": {all(jumpTo, "base"), all(jumpTo, "base")}}, false, "open"},
		"too deep":                            {deep, false, "open"},
	} {
		got, o := "passes", c.set.walker().base("base", c.policy)
		switch {
		case o.dropped():
			got = "dropped"
		case o.open():
			got = "open"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, got, c.want, o)
		}
	}
}

// A rule of an older iptables about TCP's flags is about some packets only: nobody knows a packet's flags beforehand.
func TestOldMatchOfTCPFlags(t *testing.T) {
	anyPort := []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff} // of the source, of the destination
	for name, c := range map[string]struct {
		proto byte
		rest  []byte // option, mask of the flags, flags, inverted
		want  match
	}{
		"all of TCP":          {unix.IPPROTO_TCP, []byte{0, 0, 0, 0}, always},
		"no flag at all":      {unix.IPPROTO_TCP, []byte{0, 0x3f, 0, 0}, some},
		"an option":           {unix.IPPROTO_TCP, []byte{2, 0, 0, 0}, some},
		"flags, any protocol": {0, []byte{0, 0x3f, 0, 0}, some},
		"flags, of UDP":       {unix.IPPROTO_UDP, []byte{0, 0x3f, 0, 0}, never},
	} {
		m := machine{packet: packet{proto: c.proto}}
		if got := m.xtPorts("tcp", append(slices.Clone(anyPort), c.rest...)); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
