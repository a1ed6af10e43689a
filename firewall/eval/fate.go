package eval

// action is what a rule does with the packets that match.
type action int

const (
	continueAction action = iota // the next rule decides
	acceptAction
	dropAction
	returnAction
	jumpAction
	gotoAction    // after the chain, the packets return to the caller of this one
	unknownAction // its effect cannot be evaluated
)

// effect is what one rule does with the packets of a description.
type effect struct {
	match         match
	action        action
	to            string // the chain of a jump or a goto
	rule          string // in an operator's words
	unconditional bool   // it has no condition
}

// Fate is what can happen to the packets in a chain.
type Fate struct {
	accept, drop, returns, continues bool

	rest          action // what happens to the packets that no rule for only some of them catches
	droppedBy     string // the rule that drops the rest; else the first that drops some
	uncertainRule string // the first rule that drops or returns under an unsupported condition
}

// Dropped reports whether all the packets are certainly dropped.
func (f Fate) Dropped() bool { return f.drop && !f.accept }

// Accepted reports whether all the packets are certainly accepted.
func (f Fate) Accepted() bool { return f.accept && !f.drop }

// Uncertain reports whether the evaluation cannot decide what happens to them.
func (f Fate) Uncertain() bool {
	return f.drop && f.accept && (f.rest == dropAction || f.uncertainRule != "")
}

// Rule returns the rule that drops the packets, or the one that cannot be evaluated.
func (f Fate) Rule() string {
	if f.Dropped() || f.rest == dropAction {
		return f.droppedBy
	}
	return f.uncertainRule
}

// then adds the fate of the packets that continue with the next rule.
func (f *Fate) then(next Fate) {
	if f.droppedBy == "" || f.rest == continueAction && next.rest == dropAction {
		f.droppedBy = next.droppedBy
	}
	if f.uncertainRule == "" {
		f.uncertainRule = next.uncertainRule
	}
	if f.rest == continueAction {
		f.rest = next.rest
	}
	f.accept, f.drop = f.accept || next.accept, f.drop || next.drop
	f.returns, f.continues = f.returns || next.returns, next.continues
}

// unknownFate is the fate of packets if the evaluation cannot decide it.
func unknownFate(because string) Fate {
	return Fate{accept: true, drop: true, continues: true, uncertainRule: because}
}

// The evaluation is bounded. The kernel refuses deeper jumps.
const (
	maxDepth = 16
	maxRules = 20_000 // for one description and base chain
)

// walker follows packets through chains.
type walker struct {
	effects func(chain string) (all []effect, ok bool) // of each rule of a chain; ok is false if it could not be read
	budget  int                                        // rules
}

// base returns the fate of the packets in a base chain. At its end its policy decides.
func (w *walker) base(name string, policyDrops bool) Fate {
	w.budget = maxRules
	f := w.chain(name, 0)
	switch {
	case !f.continues:
	case policyDrops:
		f.then(Fate{drop: true, rest: dropAction, droppedBy: "its policy"})
	default:
		f.then(Fate{accept: true, rest: acceptAction})
	}
	return f
}

// chain returns the fate of the packets in a chain. At its end they continue after the jump.
func (w *walker) chain(name string, depth int) Fate {
	effects, ok := w.effects(name)
	if w.budget -= len(effects); !ok || w.budget < 0 || depth > maxDepth {
		return unknownFate("chain " + name)
	}
	all := Fate{continues: true}
	for _, e := range effects {
		if all.then(w.effect(e, depth)); !all.continues {
			break
		}
	}
	if all.returns {
		all.returns, all.continues = false, true
	}
	if all.rest == returnAction {
		all.rest = continueAction
	}
	return all
}

// effect returns the fate of the packets at one rule.
func (w *walker) effect(e effect, depth int) Fate {
	if e.match == never {
		return Fate{continues: true}
	}
	f := w.matched(e, depth)
	if e.match != always {
		if e.match == unsupported && (f.drop || f.returns) && f.uncertainRule == "" {
			f.uncertainRule = e.rule
		}
		f.continues, f.rest = true, continueAction
	}
	return f
}

// matched returns the fate of the packets that match a rule.
func (w *walker) matched(e effect, depth int) Fate {
	switch e.action {
	case acceptAction:
		return Fate{accept: true, rest: acceptAction}
	case dropAction:
		return Fate{drop: true, rest: dropAction, droppedBy: e.rule}
	case returnAction:
		return Fate{returns: true, rest: returnAction}
	case jumpAction:
		return w.chain(e.to, depth+1)
	case gotoAction:
		f := w.chain(e.to, depth+1)
		if f.continues {
			f.returns, f.continues = true, false
		}
		if f.rest == continueAction {
			f.rest = returnAction
		}
		return f
	case unknownAction:
		f := unknownFate(e.rule)
		if e.match == some { // like a rule that drops some of the packets: the operator wants it
			f.uncertainRule = ""
		}
		return f
	}
	return Fate{continues: true}
}
