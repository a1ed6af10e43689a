package firewall

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet"
)

// legacyEvery is how often iptables-legacy's FORWARD is looked at where it has a filter table.
const legacyEvery = 500 * time.Millisecond

// WatchLegacy calls kick once when it begins to look, and then whenever iptables-legacy's FORWARD has been changed, by
// whomever, until ctx ends; it then returns nil. The kernel tells nobody of such a change, so it is looked for twice a
// second: on a node where iptables-legacy has no filter table that is the reading of two small files, else a run of its
// program. It works in the network namespace of the thread that calls it. kick must not block. That the program cannot
// read it is a change too: Apply tells why.
func WatchLegacy(ctx context.Context, kick func()) error {
	tick := time.NewTicker(legacyEvery)
	defer tick.Stop()
	before := legacyForward(ctx)
	kick() // for what changed before
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := legacyForward(ctx); now != before {
			before = now
			kick()
		}
	}
}

// legacyForward is the families that have a FORWARD, each with what the program lists of it, or why it does not, unless there
// is nobody to ask.
func legacyForward(ctx context.Context) string {
	var b strings.Builder
	for _, f := range subnet.Families {
		if !legacyLoaded(f) {
			continue
		}
		fmt.Fprintln(&b, f)
		if program := legacyProgram(f); program != "" {
			listing, err := legacy(ctx, program, "-S", forwardChain)
			fmt.Fprintln(&b, listing, err)
		}
	}
	return b.String()
}
