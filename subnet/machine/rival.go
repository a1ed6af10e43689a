package machine

import "github.com/podlane/podlane/subnet"

// Does another key overlap our pod subnet?

// rivalCache is the last result of rival. Most changes are to other keys, and leave it valid.
type rivalCache struct {
	valid bool
	pair  subnet.Pair
	rival entry
	found bool
}

// rival returns the oldest key that keeps a node from a pair of pod subnets, if there is one (isRival).
func (m *Mirror) rival(p subnet.Pair) (rival entry, found bool) {
	if m.rivals.valid && m.rivals.pair == p {
		return m.rivals.rival, m.rivals.found
	}
	for _, e := range m.entries {
		if m.isRival(e, p) && (!found || e.record.Created < rival.record.Created) {
			rival, found = e, true
		}
	}
	m.rivals = rivalCache{true, p, rival, found}
	return rival, found
}

// isRival reports whether an entry keeps a node from a pair of pod subnets. Then its key is another, and blocks a half of the
// pair (subnet.Network.Blocks). A joining node and a node that holds a lease must agree on it. If the pair no longer fits
// the network, a key blocks in these cases:
//   - it blocked when the pair was chosen
//   - nodes can use it now
//   - the network of that time is not known
func (m *Mirror) isRival(e entry, p subnet.Pair) bool {
	if e.pair == p || !e.pair.Overlaps(p) {
		return false
	}
	blockedBy := func(n subnet.Network) bool { return n.Blocks(e.pair, e.fault == "").Overlaps(p) }
	switch {
	case m.network.Fits(p):
		return blockedBy(m.network)
	case m.chosenBy.Fits(p):
		return blockedBy(m.network) || blockedBy(m.chosenBy)
	}
	return true
}

// setNetworks sets the network configuration, and the one by which the own pod subnet was chosen.
func (m *Mirror) setNetworks(n, chosenBy subnet.Network) {
	if m.network != n || m.chosenBy != chosenBy {
		m.network, m.chosenBy, m.rivals.valid = n, chosenBy, false
	}
}

// forgetRival drops the cached result if the lease of a pair can change it.
func (m *Mirror) forgetRival(p subnet.Pair) {
	if m.rivals.pair.Overlaps(p) {
		m.rivals.valid = false
	}
}
