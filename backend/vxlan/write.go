package vxlan

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/rtnl"
)

// writer queues requests with their texts, and sends them together.
type writer struct {
	conn    *rtnl.Conn
	batch   rtnl.Batch
	ops     []kernel.Op     // one for each request of the batch
	refused map[string]bool // by the kernel, earlier in this run: they are not tried again
	done    []kernel.Op
	failed  []kernel.Failure
}

// add records the text of the next request. It returns false if the kernel has refused the same request in this run.
// The caller must then not queue it.
func (w *writer) add(verb, kind, object string, drift bool) bool {
	op := kernel.Op{Verb: verb, Kind: kind, Object: object, Drift: drift}
	if len(w.refused) > 0 && w.refused[op.String()] {
		return false
	}
	w.ops = append(w.ops, op)
	return true
}

// grow makes room for more requests.
func (w *writer) grow(requests int) {
	w.ops = slices.Grow(w.ops, requests)
	w.batch.Grow(requests)
}

// send sends the queued requests. It records refused requests. The error is for failures that concern all requests.
func (w *writer) send() error {
	refused := map[int]error{}
	err := w.conn.Send(&w.batch, func(i int, err error) {
		if w.ops[i].Verb != "delete" || !alreadyGone(err) {
			refused[i] = err
		}
	})
	w.done = slices.Grow(w.done, len(w.ops))
	for i, op := range w.ops {
		switch e := refused[i]; {
		case errors.Is(e, unix.EPERM):
			err = errors.Join(err, fmt.Errorf("%s needs CAP_NET_ADMIN: %w", op, e))
		case e != nil:
			w.failed = append(w.failed, kernel.Failure{Op: op, Err: e})
			if w.refused == nil {
				w.refused = map[string]bool{}
			}
			w.refused[op.String()] = true
		case err == nil:
			w.done = append(w.done, op)
		}
		if err != nil {
			break
		}
	}
	w.ops = w.ops[:0]
	w.batch.Reset()
	return err
}

// clearRefused clears the record of refused requests, so that they are tried again.
func (w *writer) clearRefused() { w.failed, w.refused = nil, nil }

// alreadyGone reports whether the kernel refused a deletion because the object does not exist. The errors are ENOENT
// for neighbours and FDB entries, ESRCH for routes, ENODEV for links and what was on them, EADDRNOTAVAIL for
// addresses.
func alreadyGone(err error) bool {
	for _, gone := range []error{unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
