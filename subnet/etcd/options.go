package etcd

import (
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Options describes this node and how it holds its lease. Zero durations mean the defaults.
type Options struct {
	Self    subnet.Self        // the node's identity at the start
	Changes <-chan subnet.Self // changes of it; the own lease follows. May be nil
	Saved   *store.Saved       // what the node knew before it was started; may be nil

	// Check returns why a lease in a network would be of no use on this node. It is called before the first write of a lease.
	// Its error ends Run. May be nil.
	Check func(subnet.Network) error

	// Config returns a valid network configuration, which is written if etcd has none. Nil: there is none yet. It is called often
	// and must not block. May be nil.
	Config func() []byte
	// RetryForever means that no error of etcd ends Run, not even on a node without a lease and a saved state.
	RetryForever bool

	TTL        time.Duration // how long the lease lasts without renewal; default 24 h, in whole seconds
	AnswerTime time.Duration // how long the holder of a lease has to answer a claim; default 10 s
	Grace      time.Duration // how long peers are retained that etcd has lost; default 5 min
	CheckEvery time.Duration // how often etcd is compared with what the node knows; default 30 s
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.TTL, 24 * time.Hour},
		{&o.AnswerTime, 10 * time.Second},
		{&o.Grace, 5 * time.Minute},
		{&o.CheckEvery, 30 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return o
}
