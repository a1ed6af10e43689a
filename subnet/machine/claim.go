package machine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/podlane/podlane/subnet"
)

// A claim is the question of a node that has no lease to the holders of leases that have marks of it: are you alive? Its key
// is PREFIX/claims/<node id>. A live holder writes its lease again, which is the answer.

// claim is another node's question in the store, or our own.
type claim struct {
	from     subnet.Lease // only what identifies a node
	lease    string       // of an answer (addresschange.go): the last part of the key of the lease that the answer is about
	modified int64        // revision
}

// Limits of claims.
const (
	maxClaims   = 10000                  // how many the mirror holds
	maxClaim    = 4 << 10                // bytes of a value
	maxClaimKey = 3 * subnet.MaxNodeText // bytes of a key: an escaped node id
)

// claimJSON is the value of a claim.
type claimJSON struct {
	NodeID     string     `json:",omitempty"`
	Node       string     `json:",omitempty"`
	PublicIP   netip.Addr `json:",omitzero"`
	PublicIPv6 netip.Addr `json:",omitzero"`
	Lease      string     `json:",omitempty"` // of an answer
}

// parseClaim parses what another node wrote.
func parseClaim(value []byte) (claim, error) {
	var j claimJSON
	if len(value) > maxClaim {
		return claim{}, fmt.Errorf("claim has more than %d bytes", maxClaim)
	}
	if err := json.Unmarshal(value, &j); err != nil {
		return claim{}, fmt.Errorf("claim: %w", err)
	}
	if err := (subnet.Node{ID: j.NodeID, Name: j.Node}).Check(); err != nil {
		return claim{}, fmt.Errorf("claim: %w", err)
	}
	from := subnet.Lease{
		IPv4: subnet.Endpoint{PublicIP: j.PublicIP},
		IPv6: subnet.Endpoint{PublicIP: j.PublicIPv6},
		Node: subnet.Node{ID: j.NodeID, Name: j.Node},
	}
	return claim{from: from, lease: j.Lease}, nil
}

func (m *Mirror) putClaim(key string, kv KV) {
	c, err := parseClaim(kv.Value)
	_, known := m.claims[key]
	if err != nil || len(key) > maxClaimKey || !known && len(m.claims) >= maxClaims {
		delete(m.claims, key) // an unreadable question gets no answer
		m.partial = true
		return
	}
	c.modified = kv.Modified
	m.claims[key] = c
}

// hasQuestion reports whether a claim of another node waits for the holder of a lease that was last written at a revision.
func (m *Mirror) hasQuestion(self subnet.Self, ownClaim, written int64) bool {
	for _, c := range m.claims {
		if c.lease == "" && c.modified > written && c.modified != ownClaim && self.Concerns(c.from) {
			return true
		}
	}
	return false
}

// claimValue returns the value of a question.
func claimValue(self subnet.Self) []byte { return moveValue(self, "") }

// claimKey returns the key of a node's question. The id is escaped, because it can contain a slash.
func claimKey(n subnet.Node) string { return claims + url.PathEscape(n.ID) }

// ReleaseClaim returns the question to the holder of a lease before another program deletes the lease. Its key is not the
// one that the holder itself may write.
func ReleaseClaim(r subnet.Record) KV {
	return KV{Name: claims + url.PathEscape("release of "+r.Node.ID), Value: claimValue(holderOf(r))}
}

// holderOf returns the identity of the holder of a lease.
func holderOf(r subnet.Record) subnet.Self {
	return subnet.Self{Node: r.Node, PublicIP: r.IPv4.PublicIP, PublicIPv6: r.IPv6.PublicIP}
}

// questions returns the claims that ask the holders of leases, each in the name of the holder. Without holders it is the
// question about our own identity.
func (m *Machine) questions(holders []subnet.Record) (claimKVs []KV) {
	if len(holders) == 0 {
		return []KV{{Name: claimKey(m.self.Node), Value: claimValue(m.self)}}
	}
	for _, r := range holders {
		claimKVs = append(claimKVs, KV{Name: claims + "restored-" + r.Pair().Key(), Value: claimValue(holderOf(r))})
	}
	return claimKVs
}

// ownClaim is our own question.
type ownClaim struct {
	revision int64     // at which it was written; 0: there is none
	until    time.Time // end of the time for an answer
	ttl      int64     // its time to live. To revoke it deletes the claim, unless a clone has overwritten it
	about    subject
}

// subject is what a question is about.
type subject int

const (
	identity  subject = iota // who has our node id, name or address
	podSubnet                // who has our pod subnet (snapshot.go)
)

// on returns the question if it is about the subject. Otherwise it returns the zero question.
func (c ownClaim) on(about subject) ownClaim {
	if c.about != about {
		return ownClaim{}
	}
	return c
}

// decision returns the question as subnet.Decide needs it.
func (c ownClaim) decision(now time.Time) subnet.Claim {
	return subnet.Claim{Revision: c.revision, Expired: c.revision > 0 && !now.Before(c.until)}
}
