package eval

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

func TestOutcomeOfPackets(t *testing.T) {
	on := func(m match, do action, to string) effect {
		return effect{match: m, action: do, to: to, rule: fmt.Sprint("rule ", m, do, to)}
	}
	all := func(do action, to string) effect { return on(always, do, to) }
	deep := ruleSet{}
	for i := range maxDepth + 2 {
		deep[fmt.Sprint(i)] = []effect{all(jumpAction, fmt.Sprint(i+1))}
	}
	deep["base"] = []effect{all(jumpAction, "0")}
	for name, c := range map[string]struct {
		set         ruleSet
		policyDrops bool
		want        string
	}{
		"empty":                               {ruleSet{"base": {}}, false, "accepted"},
		"policy drops":                        {ruleSet{"base": {}}, true, "dropped"},
		"accept before a policy that drops":   {ruleSet{"base": {all(acceptAction, "")}}, true, "accepted"},
		"drop of other packets":               {ruleSet{"base": {on(never, dropAction, "")}}, false, "accepted"},
		"drop of some":                        {ruleSet{"base": {on(some, dropAction, "")}}, false, "accepted"},
		"accept of some":                      {ruleSet{"base": {on(some, acceptAction, ""), all(dropAction, "")}}, false, "uncertain"},
		"drop under an unsupported condition": {ruleSet{"base": {on(unsupported, dropAction, "")}}, false, "uncertain"},
		"some drop, then a drop of all":       {ruleSet{"base": {on(unsupported, dropAction, ""), all(dropAction, "")}}, false, "dropped"},
		"jump comes back":                     {ruleSet{"base": {all(jumpAction, "a"), all(dropAction, "")}, "a": {all(returnAction, ""), all(acceptAction, "")}}, false, "dropped"},
		"goto does not come back":             {ruleSet{"base": {all(gotoAction, "a"), all(dropAction, "")}, "a": {all(continueAction, "")}}, false, "accepted"},
		"goto within a jump":                  {ruleSet{"base": {all(jumpAction, "a"), all(dropAction, "")}, "a": {all(gotoAction, "b"), all(acceptAction, "")}, "b": {}}, false, "dropped"},
		"return in the base chain":            {ruleSet{"base": {all(returnAction, ""), all(acceptAction, "")}}, true, "dropped"},
		"some return":                         {ruleSet{"base": {all(jumpAction, "a")}, "a": {on(some, returnAction, ""), all(dropAction, "")}}, false, "uncertain"},
		"unsupported return, then policy":     {ruleSet{"base": {on(unsupported, returnAction, ""), all(acceptAction, "")}}, true, "uncertain"},
		"some jump":                           {ruleSet{"base": {on(some, jumpAction, "a")}, "a": {all(dropAction, "")}}, false, "accepted"},
		"unsupported jump":                    {ruleSet{"base": {on(unsupported, jumpAction, "a")}, "a": {all(dropAction, "")}}, false, "uncertain"},
		"unknown action":                      {ruleSet{"base": {all(unknownAction, "")}}, false, "uncertain"},
		"unknown action, then a drop":         {ruleSet{"base": {all(unknownAction, ""), all(dropAction, "")}}, false, "uncertain"},
		"log":                                 {ruleSet{"base": {on(unsupported, continueAction, ""), all(dropAction, "")}}, false, "dropped"},
		"chain that cannot be read":           {ruleSet{"base": {all(jumpAction, "nowhere")}}, false, "uncertain"},
		"loop":                                {ruleSet{"base": {all(jumpAction, "base"), all(jumpAction, "base")}}, false, "uncertain"},
		"too deep":                            {deep, false, "uncertain"},
	} {
		got, f := "accepted", c.set.walker().base("base", c.policyDrops)
		switch {
		case f.Dropped():
			got = "dropped"
		case f.Uncertain():
			got = "uncertain"
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s\n%+v", name, got, c.want, f)
		}
	}
}

// An older iptables writes the condition on TCP's flags as a match of xtables. The flags of a packet are unknown.
func TestTCPFlagsMatchSomePackets(t *testing.T) {
	anyPort := []byte{0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff} // of the source, of the destination
	for name, c := range map[string]struct {
		protocol byte
		rest     []byte // option, mask of the flags, flags, inverted
		want     match
	}{
		"all of TCP":          {unix.IPPROTO_TCP, []byte{0, 0, 0, 0}, always},
		"no flag at all":      {unix.IPPROTO_TCP, []byte{0, 0x3f, 0, 0}, some},
		"an option":           {unix.IPPROTO_TCP, []byte{2, 0, 0, 0}, some},
		"flags, any protocol": {0, []byte{0, 0x3f, 0, 0}, some},
		"flags, of UDP":       {unix.IPPROTO_UDP, []byte{0, 0x3f, 0, 0}, never},
	} {
		m := machine{packet: packet{Packet: Packet{Protocol: c.protocol}}}
		if got := m.xtPorts("tcp", append(slices.Clone(anyPort), c.rest...)); got != c.want {
			t.Errorf("%s: got match %d, want %d", name, got, c.want)
		}
	}
}
