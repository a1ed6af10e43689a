package vxlan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/podlane/podlane/kernel"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/rtnl"
)

// writer gathers requests and the words for them, and sends them together.
type writer struct {
	conn    *rtnl.Conn
	batch   rtnl.Batch
	ops     []kernel.Op     // one for each request of the batch
	refused map[string]bool // by the kernel, earlier in this pass: they are not tried again
	done    []kernel.Op
	failed  []kernel.Failure
}

// add notes what the next request of the batch does. It is false where the kernel has refused that in this pass: then
// the request must not be made.
func (w *writer) add(verb, kind, object string, drift bool) bool {
	op := kernel.Op{Verb: verb, Kind: kind, Object: object, Drift: drift}
	if len(w.refused) > 0 && w.refused[op.String()] {
		return false
	}
	w.ops = append(w.ops, op)
	return true
}

// grow makes room for further requests.
func (w *writer) grow(requests int) {
	w.ops = slices.Grow(w.ops, requests)
	w.batch.Grow(requests)
}

// send writes all that was gathered. What the kernel refuses is noted as failed; the error is for what concerns all.
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

// clearRefused forgets what the kernel has refused.
func (w *writer) clearRefused() { w.failed, w.refused = nil, nil }

// alreadyGone tells whether the kernel refused to delete because there is nothing to delete: ENOENT of neighbours and
// FDB entries, ESRCH of routes, ENODEV of links and what was on them, EADDRNOTAVAIL of addresses.
func alreadyGone(err error) bool {
	for _, gone := range []error{unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
