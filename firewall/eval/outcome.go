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

// Outcome is what can happen to the packets in a chain. More than one of the bools may be true.
type Outcome struct {
	accept, drop, returns, continues bool

	rest          action // of the rules that match all the packets; rules that match only some are ignored
	droppedBy     string // the rule that drops the rest; else the first that drops some
	uncertainRule string // the first rule that drops or returns under an unsupported condition
}

// Dropped reports whether all the packets are certainly dropped.
func (o Outcome) Dropped() bool { return o.drop && !o.accept }

// Accepted reports whether all the packets are certainly accepted.
func (o Outcome) Accepted() bool { return o.accept && !o.drop }

// Uncertain reports whether the evaluation cannot decide what happens to them.
func (o Outcome) Uncertain() bool {
	return o.drop && o.accept && (o.rest == dropAction || o.uncertainRule != "")
}

// Rule returns the rule that drops the packets, or the one that cannot be evaluated.
func (o Outcome) Rule() string {
	if o.Dropped() || o.rest == dropAction {
		return o.droppedBy
	}
	return o.uncertainRule
}

// then adds the outcome of the packets that continue with the next rule.
func (o *Outcome) then(next Outcome) {
	if o.droppedBy == "" || o.rest == continueAction && next.rest == dropAction {
		o.droppedBy = next.droppedBy
	}
	if o.uncertainRule == "" {
		o.uncertainRule = next.uncertainRule
	}
	if o.rest == continueAction {
		o.rest = next.rest
	}
	o.accept, o.drop = o.accept || next.accept, o.drop || next.drop
	o.returns, o.continues = o.returns || next.returns, next.continues
}

// unknownOutcome is the outcome of packets if the evaluation cannot decide it.
func unknownOutcome(because string) Outcome {
	return Outcome{accept: true, drop: true, continues: true, uncertainRule: because}
}

// The evaluation is bounded. The kernel refuses deeper jumps (NFT_JUMP_STACK_SIZE).
const (
	maxDepth = 16
	maxRules = 20_000 // for one description and base chain
)

// walker evaluates a chain and the chains that it jumps to.
type walker struct {
	effects func(chain string) (all []effect, ok bool) // of each rule of a chain; ok is false if it could not be read
	budget  int                                        // how many more rules it may evaluate
}

// base returns the outcome of the packets in a base chain. At its end its policy decides.
func (w *walker) base(name string, policyDrops bool) Outcome {
	w.budget = maxRules
	o := w.chain(name, 0)
	switch {
	case !o.continues:
	case policyDrops:
		o.then(Outcome{drop: true, rest: dropAction, droppedBy: "its policy"})
	default:
		o.then(Outcome{accept: true, rest: acceptAction})
	}
	return o
}

// chain returns the outcome of the packets in a chain. At its end they continue after the jump.
func (w *walker) chain(name string, depth int) Outcome {
	effects, ok := w.effects(name)
	if w.budget -= len(effects); !ok || w.budget < 0 || depth > maxDepth {
		return unknownOutcome("chain " + name)
	}
	all := Outcome{continues: true}
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

// effect returns the outcome of the packets at one rule.
func (w *walker) effect(e effect, depth int) Outcome {
	if e.match == never {
		return Outcome{continues: true}
	}
	o := w.matched(e, depth)
	if e.match != always {
		if e.match == unsupported && (o.drop || o.returns) && o.uncertainRule == "" {
			o.uncertainRule = e.rule
		}
		o.continues, o.rest = true, continueAction
	}
	return o
}

// matched returns the outcome of the packets that match a rule.
func (w *walker) matched(e effect, depth int) Outcome {
	switch e.action {
	case acceptAction:
		return Outcome{accept: true, rest: acceptAction}
	case dropAction:
		return Outcome{drop: true, rest: dropAction, droppedBy: e.rule}
	case returnAction:
		return Outcome{returns: true, rest: returnAction}
	case jumpAction:
		return w.chain(e.to, depth+1)
	case gotoAction:
		o := w.chain(e.to, depth+1)
		if o.continues {
			o.returns, o.continues = true, false
		}
		if o.rest == continueAction {
			o.rest = returnAction
		}
		return o
	case unknownAction:
		o := unknownOutcome(e.rule)
		if e.match == some { // as with a drop of some of the packets, the operator wants this
			o.uncertainRule = ""
		}
		return o
	}
	return Outcome{continues: true}
}
