package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A node that joins has no watch until it holds its lease. If a thousand nodes join together, the watch would bring each of
// them the keys of all others, one by one. That takes etcd and the nodes far more time than all the rest. The node must only
// know every key that is older than its own: one call reads them when its own is written. Its watch begins at that read, and
// brings younger keys about 0.1 s later. That is how often etcd serves watches that begin in the past.

// watchIfNeeded starts the watch of a node that holds its lease. It also starts the watch if reads cannot show the node what
// it has missed.
func (r *runner) watchIfNeeded(ctx context.Context) {
	if r.machine.NeedsWatch() {
		r.startWatch(ctx)
	}
}

// catchUp reads what was written since the mirror's revision. If that is more than a message can hold, or does not complete
// the mirror, the watch starts and completes it.
func (r *runner) catchUp(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	resp, err := r.client.Get(within, r.store.key(""), clientv3.WithPrefix(), clientv3.WithMinModRev(r.machine.Revision()+1))
	switch {
	case oversize(err):
		r.startWatch(ctx)
	case err != nil:
		return r.store.explain("read what is new under "+r.store.key(""), err)
	case r.machine.WentBack(resp.Header.Revision):
		r.relist()
	case !r.machine.CatchUp(r.store.keyValues(resp.Kvs), resp.Count, resp.Header.Revision):
		r.startWatch(ctx)
	}
	return nil
}
