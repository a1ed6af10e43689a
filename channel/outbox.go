package channel

import "sync"

// outbox holds the newest message of each kind that this side sends. It outlives connections: each sends all of them.
type outbox struct {
	mu       sync.Mutex
	messages map[string]outgoing
	changed  chan struct{} // closed at the next put
}

type outgoing struct {
	message any
	version int // grows with each put of the kind; 0: there was none
}

func newOutbox() *outbox {
	return &outbox{messages: map[string]outgoing{}, changed: make(chan struct{})}
}

// put replaces the message of a kind.
func (o *outbox) put(kind string, message any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.messages[kind] = outgoing{message, o.messages[kind].version + 1}
	close(o.changed)
	o.changed = make(chan struct{})
}

// get returns the newest message of a kind, and a channel that is closed at the next put of any kind.
func (o *outbox) get(kind string) (newest outgoing, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages[kind], o.changed
}
