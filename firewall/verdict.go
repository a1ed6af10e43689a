package firewall

// match is whether a rule's conditions match the packets of a description.
type match int

const (
	never match = iota
	always
	some        // for some of them: it depends on what the description does not fix, such as a port or a mark
	unsupported // podlaned cannot evaluate the condition
)

// and combines two conditions.
func (m match) and(o match) match {
	switch {
	case m == never || o == never:
		return never
	case m == always:
		return o
	case o == always:
		return m
	}
	return max(m, o)
}

func (m match) not() match {
	switch m {
	case never:
		return always
	case always:
		return never
	}
	return m
}

// when returns the match of a known condition.
func when(holds bool) match {
	if holds {
		return always
	}
	return never
}

// action is what a rule does with the packets that match.
type action int

const (
	carryOn action = iota // the next rule decides
	acceptIt
	dropIt
	returnBack
	jumpTo
	gotoChain // nft's goto: the chain returns to where this one was called
	unclear   // podlaned cannot evaluate its effect
)

// effect is what one rule does with the packets of a description.
type effect struct {
	match match
	does  action
	to    string // chain
	rule  string // in an operator's words
	bare  bool   // it has no condition
}

// fate is what can happen to the packets.
type fate struct {
	accept, drop, returns, carryOn bool
	rest                           action // what happens to those that match no rule for only some of them
	by                             string // the rule that drops the rest; else the first that drops some
	doubt                          string // the first rule that drops or returns under an unsupported condition
}

// dropped reports whether all the packets are certainly dropped.
func (o fate) dropped() bool { return o.drop && !o.accept }

// open reports whether podlaned cannot tell what happens to them.
func (o fate) open() bool { return o.drop && o.accept && (o.rest == dropIt || o.doubt != "") }

// then adds the fate of the packets that continue with the next rule.
func (o *fate) then(next fate) {
	if o.by == "" || o.rest == carryOn && next.rest == dropIt {
		o.by = next.by
	}
	if o.doubt == "" {
		o.doubt = next.doubt
	}
	if o.rest == carryOn {
		o.rest = next.rest
	}
	o.accept, o.drop, o.returns, o.carryOn = o.accept || next.accept, o.drop || next.drop, o.returns || next.returns, next.carryOn
}

// The evaluation is bounded. The kernel refuses deeper jumps.
const (
	maxDepth  = 16
	maxBudget = 20_000 // rules, for one description and base chain
)

// walker follows packets through chains. effects returns what each rule of a chain does with them, and false if the chain
// could not be read.
type walker struct {
	effects func(chain string) ([]effect, bool)
	budget  int
}

// base returns the fate of the packets in a base chain. At its end its policy decides.
func (w *walker) base(name string, policyDrops bool) fate {
	w.budget = maxBudget
	o := w.chain(name, 0)
	switch {
	case !o.carryOn:
	case policyDrops:
		o.then(fate{drop: true, rest: dropIt, by: "its policy"})
	default:
		o.then(fate{accept: true, rest: acceptIt})
	}
	return o
}

// chain returns the fate of the packets in a chain. At its end they continue after the jump.
func (w *walker) chain(name string, depth int) fate {
	effects, ok := w.effects(name)
	if w.budget -= len(effects); !ok || w.budget < 0 || depth > maxDepth {
		return unknownFate("chain " + name)
	}
	all := fate{carryOn: true}
	for _, e := range effects {
		if all.then(w.effect(e, depth)); !all.carryOn {
			break
		}
	}
	if all.returns {
		all.returns, all.carryOn = false, true
	}
	if all.rest == returnBack {
		all.rest = carryOn
	}
	return all
}

// unknownFate returns the fate if podlaned cannot tell what happens.
func unknownFate(why string) fate {
	return fate{accept: true, drop: true, carryOn: true, doubt: why}
}

// effect returns the fate of the packets at one rule.
func (w *walker) effect(e effect, depth int) fate {
	if e.match == never {
		return fate{carryOn: true}
	}
	o := w.matched(e, depth)
	if e.match != always {
		if e.match == unsupported && (o.drop || o.returns) && o.doubt == "" {
			o.doubt = e.rule
		}
		o.carryOn, o.rest = true, carryOn
	}
	return o
}

// matched returns the fate of the packets that match a rule.
func (w *walker) matched(e effect, depth int) fate {
	switch e.does {
	case acceptIt:
		return fate{accept: true, rest: acceptIt}
	case dropIt:
		return fate{drop: true, rest: dropIt, by: e.rule}
	case returnBack:
		return fate{returns: true, rest: returnBack}
	case jumpTo:
		return w.chain(e.to, depth+1)
	case gotoChain:
		o := w.chain(e.to, depth+1)
		if o.carryOn {
			o.returns, o.carryOn = true, false
		}
		if o.rest == carryOn {
			o.rest = returnBack
		}
		return o
	case unclear:
		o := unknownFate(e.rule)
		if e.match == some { // as with a drop of some, that is no matter of podlane
			o.doubt = ""
		}
		return o
	}
	return fate{carryOn: true}
}
