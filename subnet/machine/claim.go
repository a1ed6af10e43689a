package machine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/podlane/podlane/subnet"
)

// A claim is a question to the holders of leases: are you alive? A node without a lease asks the holders whose leases share
// one of its marks: node id, node name or public address. The key is PREFIX/claims/<node id>. A live holder writes its lease
// again, which is the answer.

// claim is a claim in the store, of another node or our own. Or it is an answer (addresschange.go).
type claim struct {
	from     subnet.Lease // the asking node's marks
	lease    string       // of an answer: the last part of the key of the holder's lease; empty: it is a claim
	modified int64        // revision
}

// Limits of claims.
const (
	maxClaims   = 10000                  // number of claims in the mirror
	maxClaim    = 4 << 10                // length of a value, in bytes
	maxClaimKey = 3 * subnet.MaxNodeText // length of a key, in bytes: an escaped node id
)

// claimJSON is the value of a claim, or of an answer.
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
		delete(m.claims, key) // an unreadable claim gets no answer
		m.partial = true
		return
	}
	c.modified = kv.Modified
	m.claims[key] = c
}

// hasClaim reports whether a claim of another node awaits an answer of this node. Its lease was last written at a revision,
// and answers all older claims. ownClaim is the revision of our own claim.
func (m *Mirror) hasClaim(self subnet.Self, ownClaim, written int64) bool {
	for _, c := range m.claims {
		if c.lease == "" && c.modified > written && c.modified != ownClaim && self.Concerns(c.from) {
			return true
		}
	}
	return false
}

// claimValue returns the value of a claim. With the key of a lease it is an answer: the current addresses of its holder.
func claimValue(self subnet.Self, lease string) []byte {
	b, err := json.Marshal(claimJSON{self.Node.ID, self.Node.Name, self.PublicIP, self.PublicIPv6, lease})
	if err != nil {
		panic(err) // strings and addresses: it cannot fail
	}
	return b
}

// claimKey returns the key of a node's claim. The id is escaped, because it can contain a slash.
func claimKey(n subnet.Node) string { return claims + url.PathEscape(n.ID) }

// ReleaseClaim returns the claim by which another program asks the holder of a lease before it deletes the lease. Its key is
// not the one that the holder itself may write.
func ReleaseClaim(r subnet.Record) KV {
	return KV{Name: claims + url.PathEscape("release of "+r.Node.ID), Value: claimValue(holderOf(r), "")}
}

// holderOf returns the identity of the holder of a lease.
func holderOf(r subnet.Record) subnet.Self {
	return subnet.Self{Node: r.Node, PublicIP: r.IPv4.PublicIP, PublicIPv6: r.IPv6.PublicIP}
}

// claimKVs returns the claims that ask the holders of leases, each in the name of the holder. Without holders it is the
// claim about our own identity.
func (m *Machine) claimKVs(holders []subnet.Record) (kvs []KV) {
	if len(holders) == 0 {
		return []KV{{Name: claimKey(m.self.Node), Value: claimValue(m.self, "")}}
	}
	for _, r := range holders {
		kvs = append(kvs, KV{Name: claims + "restored-" + r.Pair().Key(), Value: claimValue(holderOf(r), "")})
	}
	return kvs
}

// ownClaim is our own claim.
type ownClaim struct {
	revision int64     // at which it was written; 0: there is none
	until    time.Time // end of the time for an answer
	ttlID    int64     // of its time to live. Revoking that deletes the claim, unless a clone has overwritten it
	about    subject
}

// subject is what a claim asks.
type subject int

const (
	identity  subject = iota // who has our node id, name or address
	podSubnet                // who has our pod subnet (snapshot.go)
)

// on returns the claim if it is about the subject. Otherwise it returns the zero ownClaim.
func (c ownClaim) on(about subject) ownClaim {
	if c.about != about {
		return ownClaim{}
	}
	return c
}

// decision returns the claim as subnet.Decide needs it.
func (c ownClaim) decision(now time.Time) subnet.Claim {
	return subnet.Claim{Revision: c.revision, Expired: c.revision > 0 && !now.Before(c.until)}
}
