package etcd

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/podlane/podlane/subnet"
)

// A claim is the question of a node that has no lease to the holders of leases that look like its own: is one of you
// alive? It stands at PREFIX/claims/<node id>. A live holder writes its lease once more, which is the answer.

// claim is another node's question as it stands in etcd, or our own.
type claim struct {
	from     subnet.Lease // only what identifies a node
	lease    string       // of an answer (moved.go): the last part of the lease key of the holder that answers
	modified int64        // revision
}

// maxClaims bounds the claims that are remembered, maxClaim the value of one, maxClaimKey its name: an escaped node id.
const (
	maxClaims   = 10000
	maxClaim    = 4 << 10
	maxClaimKey = 3 * subnet.MaxNodeText
)

// claimJSON is the value of a claim.
type claimJSON struct {
	NodeID     string     `json:",omitempty"`
	Node       string     `json:",omitempty"`
	PublicIP   netip.Addr `json:",omitzero"`
	PublicIPv6 netip.Addr `json:",omitzero"`
	Lease      string     `json:",omitempty"` // of an answer
}

func claimValue(self subnet.Self) []byte { return movedValue(self, "") }

// movedValue returns the value of an answer: the current addresses of a lease's holder.
func movedValue(self subnet.Self, lease string) []byte {
	b, err := json.Marshal(claimJSON{self.Node.ID, self.Node.Name, self.PublicIP, self.PublicIPv6, lease})
	if err != nil {
		panic(err) // strings and addresses: it cannot fail
	}
	return b
}

// parseClaim reads what another node wrote.
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

func (m *mirror) putClaim(key string, kv *mvccpb.KeyValue) {
	c, err := parseClaim(kv.Value)
	_, known := m.claims[key]
	if err != nil || len(key) > maxClaimKey || !known && len(m.claims) >= maxClaims {
		delete(m.claims, key) // a question nobody can read gets no answer
		m.partial = true
		return
	}
	c.modified = kv.ModRevision
	m.claims[key] = c
}

// claimKey is the key of a node's claim: the id is escaped, for it could hold a slash.
func (s *Store) claimKey(n subnet.Node) string { return s.prefix + "/" + claims + url.PathEscape(n.ID) }

// asking is our own question.
type asking struct {
	revision int64     // at which it was written; 0: we do not ask
	until    time.Time // how long an answer is awaited
	ttl      int64     // its etcd lease: to revoke it is to delete the claim, unless a clone has written over it
	about    subject
}

// subject is what a node asks about.
type subject int

const (
	identity  subject = iota // who has our node id, name or address
	podSubnet                // who has our pod subnet (restored.go)
)

// on returns the question if it is about the subject; otherwise the zero question.
func (a asking) on(about subject) asking {
	if a.about != about {
		return asking{}
	}
	return a
}

// claim is the question as subnet.Decide sees it.
func (a asking) claim(now time.Time) subnet.Claim {
	return subnet.Claim{Revision: a.revision, Expired: a.revision > 0 && !now.Before(a.until)}
}

// unanswered tells whether a claim by another node waits for the holder of a lease that was last written at a revision.
func (m *mirror) unanswered(self subnet.Self, ownClaim, written int64) bool {
	for _, c := range m.claims {
		if c.lease == "" && c.modified > written && c.modified != ownClaim && self.Concerns(c.from) {
			return true
		}
	}
	return false
}
