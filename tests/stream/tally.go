package stream

import (
	"sync"
	"time"
)

// tally records the datagrams of one direction by their numbers from 0: when each was sent and how often it arrived.
type tally struct {
	mu       sync.Mutex
	sent     []time.Duration // since the start
	arrived  []int
	from     uint64 // earlier ones do not count
	left     int    // how many have not arrived
	newest   uint64 // the highest number that arrived, plus one
	repeated int
}

// send records that the next datagram is sent, and returns its number.
func (t *tally) send(at time.Duration) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent, t.arrived = append(t.sent, at), append(t.arrived, 0)
	t.left++
	return uint64(len(t.sent) - 1)
}

// arrive records that a datagram has arrived.
func (t *tally) arrive(number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = max(t.newest, min(number+1, uint64(len(t.arrived))))
	if number < t.from || number >= uint64(len(t.arrived)) {
		return
	}
	if t.arrived[number]++; t.arrived[number] == 1 {
		t.left--
	} else {
		t.repeated++
	}
}

// begin forgets all datagrams before the newest that arrived.
func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from, t.left, t.repeated = max(t.newest, 1)-1, 0, 0
	for _, times := range t.arrived[t.from:] {
		if times == 0 {
			t.left++
		}
	}
}

// next returns the number of the next datagram.
func (t *tally) next() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint64(len(t.sent))
}

// arrivedSince reports whether a datagram with this number or a later one has arrived.
func (t *tally) arrivedSince(number uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest > number
}

// missing returns how many have not arrived.
func (t *tally) missing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Result{Sent: len(t.sent) - int(t.from), Lost: t.left, Duplicated: t.repeated}
	r.Gaps, r.LongestGap = t.gaps()
	return r
}

// gaps returns the number of gaps and the longest one. A gap is a run of lost datagrams. It lasts from the datagram
// before the run to the one after it. At either end of the stream it starts or ends with the run itself.
func (t *tally) gaps() (count int, longest time.Duration) {
	sent, arrived := t.sent[t.from:], t.arrived[t.from:]
	for i := 0; i < len(sent); i++ {
		if arrived[i] > 0 {
			continue
		}
		count++
		first := max(i-1, 0)
		for i < len(sent)-1 && arrived[i] == 0 {
			i++
		}
		longest = max(longest, sent[i]-sent[first])
	}
	return count, longest
}
