package etcd

import (
	"testing"
	"time"

	"github.com/podlane/podlane/subnet/machine"
)

func TestOwnKeyIsNotWrittenTwiceAtOnce(t *testing.T) {
	now := time.Now()
	create, giveBack := machine.Step{Verb: machine.Create}, machine.Step{Verb: machine.GiveBack}
	for name, c := range map[string]struct {
		pace        pace
		step        machine.Step
		established bool
		want        bool
		wantReturns int
	}{
		"the first write":                         {pace{}, create, true, true, 0},
		"a write too soon after another":          {pace{notBefore: now.Add(1)}, create, true, false, 0},
		"the next write":                          {pace{notBefore: now}, create, true, true, 0},
		"a joining node writes at once":           {pace{notBefore: now.Add(1)}, create, false, true, 0},
		"a joining node gives back at once":       {pace{notBefore: now.Add(1), returned: 3}, giveBack, false, true, 4},
		"a holder gives back later":               {pace{notBefore: now.Add(1)}, giveBack, true, false, 0},
		"too many keys were given back":           {pace{notBefore: now.Add(1), returned: freeTries + 1}, create, false, false, freeTries + 1},
		"the most keys that may be given back":    {pace{notBefore: now.Add(1), returned: freeTries}, create, false, true, freeTries},
		"a lease ends the count":                  {pace{returned: 9}, create, true, true, 0},
		"a claim is another key":                  {pace{notBefore: now.Add(1), returned: 9}, machine.Step{Verb: machine.Ask}, false, true, 9},
		"so is an answer":                         {pace{notBefore: now.Add(1)}, machine.Step{Verb: machine.AnnounceMove}, true, true, 0},
		"so is the configuration":                 {pace{notBefore: now.Add(1)}, machine.Step{Verb: machine.RestoreConfig}, true, true, 0},
		"many given back, and then the time came": {pace{notBefore: now, returned: 9}, create, false, true, 9},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.pace
			if got := p.allow(c.step, c.established, now); got != c.want {
				t.Errorf("allowed %v, want %v", got, c.want)
			}
			if p.returned != c.wantReturns {
				t.Errorf("%d keys given back, want %d", p.returned, c.wantReturns)
			}
			next, least, most := p.notBefore, now.Add(rewriteGap), now.Add(2*rewriteGap)
			if moved := c.want && c.step.OwnKey(); moved && (next.Before(least) || next.After(most)) {
				t.Errorf("the next write in %v, want %v to %v", next.Sub(now), rewriteGap, 2*rewriteGap)
			} else if !moved && next != c.pace.notBefore {
				t.Errorf("the next write in %v, want no change", next.Sub(now))
			}
		})
	}
}
