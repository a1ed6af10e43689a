package etcd

import (
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

// Options says who this node is and how it holds its lease. Zero durations are the defaults.
type Options struct {
	Self    subnet.Self        // who this node is at the start
	Changes <-chan subnet.Self // who it is from then on; the own lease follows. May be nil
	Saved   *store.Saved       // what it knew before it was started; may be nil

	// Check says why a lease in a network would be of no use here, before one is taken. Its error ends Run. May be nil.
	Check func(subnet.Network) error

	TTL        time.Duration // how long the lease lasts without renewal; default 24 h, in whole seconds
	AnswerTime time.Duration // how long the holders of leases like ours are given to answer; default 10 s
	Grace      time.Duration // how long peers are kept that vanished because etcd lost data; default 5 min
	CheckEvery time.Duration // how often etcd is asked whether it still is where we saw it; default 30 s
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
