package underlay

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// FollowDelay is how long an address that peers know must be missing before a node moves to another. A program that
// configures an interface again, such as NetworkManager, removes its addresses and routes for some hundred
// milliseconds. Meanwhile Choose may prefer a virtual address, or the interface of another default route.
const FollowDelay = 500 * time.Millisecond

// Follower decides when to follow a changed underlay. The zero Follower is ready for use.
type Follower struct {
	since time.Time // when an address in use was first missing from the choice; zero if it is not missing
}

// Follow reports whether to move now from the underlay in use to the choice of Choose. The answer is yes at once if the
// choice has the addresses that peers know, even on another interface. Otherwise it is yes after FollowDelay. again is
// the time until the next check, or 0 if no check is due.
func (f *Follower) Follow(inUse, choice Interface, now time.Time) (move bool, again time.Duration) {
	if inUse.Same(choice) || keepsLocal(inUse, choice) {
		f.since = time.Time{}
		return !inUse.Same(choice), 0
	}
	if f.since.IsZero() {
		f.since = now
	}
	if again = FollowDelay - now.Sub(f.since); again > 0 {
		return false, again
	}
	f.since = time.Time{}
	return true, 0
}

// keepsLocal reports whether the choice keeps this node's addresses.
func keepsLocal(inUse, choice Interface) bool {
	return !slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		return inUse.Local(f).IsValid() && inUse.Local(f) != choice.Local(f)
	})
}
