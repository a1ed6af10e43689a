package underlay

import (
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// Patience is how long an address that peers know must be away before a node gives it up. Whoever sets an interface up
// anew, as NetworkManager does, takes its addresses and routes away for some hundred milliseconds: meanwhile a virtual
// address, or another interface's default route, looks like the place to be.
const Patience = 500 * time.Millisecond

// Follower decides when a node follows a change of its underlay. The zero Follower is ready for use.
type Follower struct {
	since time.Time // when an address in use was first missing from the choice; zero: it is not
}

// Follow tells whether to move now from the underlay in use to that which Choose finds: at once where the addresses that
// peers know go along, though it be to another interface; else with Patience. Where it is too early, again is after how
// long to look once more; it is 0 where there is nothing to wait for.
func (f *Follower) Follow(inUse, choice Interface, now time.Time) (move bool, again time.Duration) {
	if inUse.Same(choice) || keepsLocal(inUse, choice) {
		f.since = time.Time{}
		return !inUse.Same(choice), 0
	}
	if f.since.IsZero() {
		f.since = now
	}
	if again = Patience - now.Sub(f.since); again > 0 {
		return false, again
	}
	f.since = time.Time{}
	return true, 0
}

// keepsLocal tells whether the second underlay has the addresses by which peers know a node on the first.
func keepsLocal(inUse, choice Interface) bool {
	return !slices.ContainsFunc(subnet.Families[:], func(f subnet.Family) bool {
		return inUse.Local(f).IsValid() && inUse.Local(f) != choice.Local(f)
	})
}
