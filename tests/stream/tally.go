package stream

import (
	"sync"
	"time"
)

// tally notes of the datagrams of one direction, by their numbers from 0, when each was sent and how often it arrived.
type tally struct {
	mu       sync.Mutex
	sent     []time.Duration // since the start
	arrived  []int
	from     uint64 // those before it do not count
	left     int    // how many have not arrived
	newest   uint64 // the highest number that arrived, plus one
	repeated int
}

// send notes that the next datagram is being sent and gives its number.
func (t *tally) send(at time.Duration) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent, t.arrived = append(t.sent, at), append(t.arrived, 0)
	t.left++
	return uint64(len(t.sent) - 1)
}

// arrive notes that a datagram has arrived.
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

// begin makes all before the newest that arrived not count.
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

// next is the number that the next datagram will have.
func (t *tally) next() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint64(len(t.sent))
}

// arrivedSince tells whether a datagram of this number or a later one has arrived.
func (t *tally) arrivedSince(number uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest > number
}

// missing is how many have not arrived.
func (t *tally) missing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Result{Sent: len(t.sent) - int(t.from), Lost: t.left, Duplicated: t.repeated, LongestGap: t.longestGap()}
}

// longestGap is, over all runs of lost datagrams, the longest time from the datagram before the run to the one after
// it; at either end of the stream, from or to the run's own.
func (t *tally) longestGap() (longest time.Duration) {
	sent, arrived := t.sent[t.from:], t.arrived[t.from:]
	for i := 0; i < len(sent); i++ {
		if arrived[i] > 0 {
			continue
		}
		first := max(i-1, 0)
		for i < len(sent)-1 && arrived[i] == 0 {
			i++
		}
		longest = max(longest, sent[i]-sent[first])
	}
	return longest
}
