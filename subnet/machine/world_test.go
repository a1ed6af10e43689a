package machine

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// The times of a world's nodes.
const (
	answerTime = 10 * time.Second
	askAgain   = 30 * time.Second
	grace      = 5 * time.Minute
	leaseTime  = 24 * time.Hour
)

const (
	ipv4Config = `{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}`
	dualConfig = `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}`
	oneSubnet  = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.0"}`
	twoSubnets = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.5.0"}`
	oneDual    = `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.4.0",
		"EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:4::","IPv6SubnetMax":"fd00:5:0:4::"}`
)

// world is a store in memory, with a clock of its own, and the nodes that use it.
type world struct {
	t        *testing.T
	now      time.Time
	revision int64
	keys     map[string]KV
	history  map[int64]map[string]KV // the keys at each revision
	events   []Event
	epoch    int                 // how often the store was restored
	ttls     map[int64]time.Time // expiry
	lastTTL  int64
	nodes    []*node
	refuse   func(Txn) error // why the store refuses a write; nil: it does not
}

// node is a machine with a client.
type node struct {
	*world
	*Machine
	name     string
	step     Step
	ttl      TTL
	watching bool
	next     int  // the next of the world's events
	behind   bool // the watch brings nothing for now
	epoch    int
	stopped  bool
	err      error             // why its last write was refused
	unsure   string            // the key of a write without an answer
	lose     func(Step) bool   // the answer to a step is lost
	before   func(*node, Step) // is called before a step is executed
	verbs    []Verb            // what it has executed
}

func newWorld(t *testing.T, config string) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), revision: 1,
		keys: map[string]KV{}, history: map[int64]map[string]KV{}, ttls: map[int64]time.Time{},
	}
	if config != "" {
		w.put(ConfigName, config)
	}
	return w
}

// self returns the identity of node number i.
func self(i int) subnet.Self {
	return subnet.Self{
		Node:       subnet.Node{ID: fmt.Sprintf("id-%d", i), Name: fmt.Sprintf("n%d", i), Version: "v1"},
		PublicIP:   netip.AddrFrom4([4]byte{192, 168, byte(i / 250), byte(i%250 + 1)}),
		PublicIPv6: netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)),
	}
}

// parsePair returns the pod subnets of a key.
func parsePair(t *testing.T, key string) subnet.Pair {
	t.Helper()
	p, err := subnet.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parseNetwork(t *testing.T, config string) subnet.Network {
	t.Helper()
	n, _, err := subnet.ParseNetwork([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// leaseOf returns the lease of a node.
func leaseOf(t *testing.T, s subnet.Self, key string) subnet.Lease {
	t.Helper()
	return s.Lease(parseNetwork(t, dualConfig), parsePair(t, key), subnet.Lease{})
}

// flannelLease returns the value of a lease that flannel writes.
func flannelLease(address string) string {
	return fmt.Sprintf(`{"PublicIP":%q,"BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:77"}}`, address)
}

// commit executes a transaction at one revision.
func (w *world) commit(txn Txn, ttl int64) (revision int64, done bool) {
	for _, c := range txn.Compare {
		if w.keys[c.Name].Modified != c.Modified {
			return w.revision, false
		}
	}
	w.revision++
	for _, kv := range txn.Put {
		kv.Created, kv.Modified, kv.TTLID = w.revision, w.revision, ttl
		if was, present := w.keys[kv.Name]; present {
			kv.Created = was.Created
		}
		w.keys[kv.Name] = kv
		w.events = append(w.events, Event{KV: kv})
	}
	for _, name := range txn.Delete {
		if _, present := w.keys[name]; present {
			delete(w.keys, name)
			w.events = append(w.events, Event{KV: KV{Name: name, Modified: w.revision}, Deleted: true})
		}
	}
	w.history[w.revision] = maps.Clone(w.keys)
	return w.revision, true
}

// put writes a key as an operator does.
func (w *world) put(name, value string) {
	w.commit(Txn{Put: []KV{{Name: name, Value: []byte(value)}}}, 0)
}

// delete deletes keys as an operator does, in one transaction.
func (w *world) delete(names ...string) { w.commit(Txn{Delete: names}, 0) }

// lease writes the lease of a node that does not run.
func (w *world) lease(s subnet.Self, key string) {
	w.commit(Txn{Put: []KV{{Name: Leases + key, Value: leaseOf(w.t, s, key).Value()}}}, w.grant(leaseTime).ID)
}

func (w *world) grant(d time.Duration) TTL {
	w.lastTTL++
	w.ttls[w.lastTTL] = w.now.Add(d)
	return TTL{w.lastTTL, w.ttls[w.lastTTL]}
}

// revoke ends a time to live and deletes its keys.
func (w *world) revoke(id int64) {
	delete(w.ttls, id)
	var names []string
	for name, kv := range w.keys {
		if kv.TTLID == id && id != 0 {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		w.delete(names...)
	}
}

// snapshot is a copy of a store.
type snapshot struct {
	revision int64
	keys     map[string]KV
}

func (w *world) snapshot() snapshot { return snapshot{w.revision, maps.Clone(w.keys)} }

// restore restores a snapshot. Its times to live begin again. The zero snapshot is an empty store.
func (w *world) restore(s snapshot) {
	w.revision, w.keys, w.events = max(1, s.revision), map[string]KV{}, nil
	maps.Copy(w.keys, s.keys)
	w.ttls = map[int64]time.Time{}
	for _, kv := range w.keys {
		if kv.TTLID != 0 {
			w.ttls[kv.TTLID] = w.now.Add(leaseTime)
		}
	}
	w.epoch++
}

// start starts a node. change may be nil.
func (w *world) start(i int, change func(*Options)) *node {
	w.t.Helper()
	o := Options{
		Self: self(i), Prefix: "/podlane/network", AnswerTime: answerTime, AskEvery: askAgain, Grace: grace,
		Random: func(most time.Duration) time.Duration { return most / 2 },
	}
	if change != nil {
		change(&o)
	}
	n := &node{world: w, Machine: New(o), name: o.Self.Node.Name, epoch: w.epoch}
	w.nodes = append(w.nodes, n)
	return n
}

// restart starts a node again with what it had saved. inUse: its pods run.
func (w *world) restart(n *node, i int, inUse bool, change func(*Options)) *node {
	w.t.Helper()
	saved := n.State().Save()
	n.stopped = true
	return w.start(i, func(o *Options) {
		o.Saved, o.Self.Previous, o.Self.InUse = &saved, n.State().Own.Pair(), inUse
		if change != nil {
			change(o)
		}
	})
}

// run lets all nodes work until nothing changes.
func (w *world) run() {
	w.t.Helper()
	for range 100 {
		busy := false
		for _, n := range w.nodes {
			busy = n.work() || busy
		}
		if !busy {
			return
		}
	}
	w.t.Fatalf("the nodes work without end:\n%s", w)
}

// advance moves the clock. Nodes work when something is due.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.run()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.wakeAt(end)
		for id, expiry := range w.ttls {
			if !w.now.Before(expiry) {
				w.revoke(id)
			}
		}
		w.run()
	}
}

// wakeAt returns when something is due next.
func (w *world) wakeAt(end time.Time) time.Time {
	at := end
	consider := func(t time.Time) {
		if t.After(w.now) && t.Before(at) {
			at = t
		}
	}
	for _, n := range w.nodes {
		if !n.stopped {
			consider(n.step.At)
			consider(n.ttl.Expiry.Add(-leaseTime / 2)) // it renews
		}
	}
	for _, expiry := range w.ttls {
		consider(expiry)
	}
	return at
}

// list reads everything, as at the start.
func (n *node) list(forked bool) {
	m := NewMirror()
	for _, name := range slices.Sorted(maps.Keys(n.keys)) {
		m.Put(n.keys[name])
	}
	m.Complete(n.revision)
	n.Replace(m, forked, n.now)
	n.next = len(n.events)
}

// receive applies the events of each revision.
func (n *node) receive() (news bool) {
	for n.watching && !n.behind && n.next < len(n.events) {
		first, end := n.next, n.next
		for ; end < len(n.events) && n.events[end].Modified == n.events[first].Modified; end++ {
		}
		news = n.Watched(slices.Clone(n.events[first:end]), n.now) || news
		n.next = end
	}
	return news
}

// work does what an attempt of a client does. It reports whether anything happened.
func (n *node) work() (busy bool) {
	if n.stopped {
		return false
	}
	if !n.Listed() {
		n.list(false)
		busy = true
	} else if n.epoch != n.world.epoch {
		n.WentBack(n.revision)
		n.list(true)
		busy = true
	}
	n.epoch = n.world.epoch
	n.watching = n.watching || n.NeedsWatch()
	if n.unsure != "" {
		kv, found := n.keys[n.unsure]
		n.Read(n.unsure, kv, found, n.revision)
		n.unsure = ""
	}
	busy = n.renew() || busy
	busy = n.receive() || busy
	for range 50 {
		n.step = n.Next(n.now)
		switch n.step.Verb {
		case Wait:
			n.err = nil
			if n.step.EndClaim {
				n.revoke(n.EndClaim())
			}
			n.watching = true
			return busy
		case AskAgain:
			n.revoke(n.EndClaim())
			continue
		default:
		}
		if n.before != nil {
			n.before(n, n.step)
		}
		if !n.execute(n.step) {
			return busy
		}
		busy = true
	}
	n.t.Fatalf("%s: it decides without end: %+v", n.name, n.step)
	return false
}

// renew renews the time to live of the own key after half of its time.
func (n *node) renew() bool {
	if n.ttl.ID == 0 || n.Reserved() || n.now.Before(n.ttl.Expiry.Add(-leaseTime/2)) {
		return false
	}
	if _, lives := n.ttls[n.ttl.ID]; !lives {
		n.ttl = TTL{}
		n.TTLGone()
		return true
	}
	n.ttl.Expiry = n.now.Add(leaseTime)
	n.ttls[n.ttl.ID] = n.ttl.Expiry
	n.TTLGranted(n.ttl.ID, n.ttl.Expiry)
	return true
}

// needTTL returns the time to live for a step.
func (n *node) needTTL(st Step) TTL {
	switch {
	case st.ClaimTTL():
		return n.grant(3 * answerTime)
	case !st.NeedsTTL():
		return TTL{}
	}
	if _, lives := n.ttls[n.ttl.ID]; !lives || st.Verb == Create && n.UsesTTL(n.ttl.ID) {
		n.ttl = TTL{}
	}
	if expiry, lives := n.ttls[st.Record.TTLID]; n.ttl.ID == 0 && lives {
		n.ttl = TTL{st.Record.TTLID, expiry}
	} else if n.ttl.ID == 0 {
		n.ttl = n.grant(leaseTime)
	}
	n.TTLGranted(n.ttl.ID, n.ttl.Expiry)
	return n.ttl
}

// execute executes a step as a client does. It returns false if the client has to try again later.
func (n *node) execute(st Step) bool {
	if n.err = st.Check(); n.err != nil {
		return false
	}
	if st.Verb == Ask {
		n.revoke(n.EndClaim())
	}
	if n.refuse != nil {
		if err := n.refuse(n.Txn(st)); err != nil && st.Verb == RestoreConfig {
			n.ConfigRefused(err, n.now)
			return true
		} else if err != nil {
			n.err = err
			n.adopt()
			return false
		}
	}
	ttl, txn := n.needTTL(st), n.Txn(st)
	revision, done := n.commit(txn, ttl.ID)
	n.verbs = append(n.verbs, st.Verb)
	if n.lose != nil && n.lose(st) {
		if n.err = errors.New("no answer"); st.OwnKey() {
			n.unsure = st.LeaseName()
		}
		return false
	}
	if done {
		n.Committed(st, revision, ttl, n.now)
	} else {
		for _, name := range txn.Read {
			kv, found := n.keys[name]
			n.Read(name, kv, found, revision)
		}
	}
	n.catchUp()
	return true
}

// adopt uses a lease that cannot be written.
func (n *node) adopt() {
	a, found := n.Adoptable(n.now)
	if !found {
		return
	}
	ttl, _ := a.TTL()
	n.Adopt(a, n.ttls[ttl])
}

// catchUp applies what is new: by a read, or by the watch.
func (n *node) catchUp() {
	if n.watching {
		n.receive()
		return
	}
	var written []KV
	for _, name := range slices.Sorted(maps.Keys(n.keys)) {
		if kv := n.keys[name]; kv.Modified > n.Revision() {
			written = append(written, kv)
		}
	}
	if !n.CatchUp(written, int64(len(n.keys)), n.revision) {
		n.watching = true
		n.receive()
	}
}

// errText returns why a node waits.
func (n *node) errText() string {
	if err := errors.Join(n.err, n.step.Err); err != nil {
		return err.Error()
	}
	return ""
}

// String returns the leases, the claims and the nodes, each in a line.
func (w *world) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.keys)) {
		kv := w.keys[name]
		switch key, isLease := strings.CutPrefix(name, Leases); {
		case !isLease:
			if strings.HasPrefix(name, claims) {
				fmt.Fprintln(&b, name)
			}
		default:
			l, err := subnet.ParseLease(key, kv.Value)
			holder := l.Node.Name
			if err != nil {
				holder = "not a lease"
			} else if holder == "" {
				holder = "flannel"
			}
			if kv.TTLID == 0 {
				holder += ", reserved"
			}
			fmt.Fprintf(&b, "%s: %s\n", key, holder)
		}
	}
	for _, n := range w.nodes {
		if !n.stopped {
			fmt.Fprintln(&b, n)
		}
	}
	return b.String()
}

// String returns what a node holds, and what is not in order.
func (n *node) String() string {
	s := n.State()
	text := n.name + " has nothing"
	switch {
	case s.Held:
		text = n.name + " holds " + s.Own.Pair().Key()
	case s.Own != (subnet.Lease{}):
		text = n.name + " keeps " + s.Own.Pair().Key()
	}
	if s.Own.Node != (subnet.Node{}) && s.Own.PublicIP() != n.self.PublicIP {
		text += " at its former address"
	}
	if s.Retained > 0 {
		text += fmt.Sprintf(", retains %d", s.Retained)
	}
	if n.step.Conflict != "" {
		text += ", conflict"
	}
	if err := n.errText(); err != "" {
		text += ", error: " + err
	}
	return text
}

// held returns the state of a node, which must hold its lease.
func (n *node) held() store.State {
	n.t.Helper()
	s := n.State()
	if !s.Held || n.step.Conflict != "" || n.errText() != "" {
		n.t.Fatalf("it does not hold its lease:\n%s", n.world)
	}
	return s
}
