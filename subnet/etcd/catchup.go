package etcd

import (
	"context"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
)

// A node that starts has no watch as long as it takes its lease: of a thousand that join together each would be told of each
// other one by one, which takes etcd, and them, far more time than all the rest. What it has to know, every key that is
// older than its own, it reads at once when that is written. Its watch begins where that read ends, and tells of younger
// ones some 0.1 s later: that often etcd looks for watches that begin in the past.

// resume begins the watch of a node that holds its lease, and of one that could not tell by a read that it has missed
// nothing.
func (r *runner) resume(ctx context.Context) {
	if r.session.own.established || r.session.mirror.partial {
		r.follow(ctx)
	}
}

// catchUp reads what was written since the mirror's revision. Where that does not bring the mirror to etcd's own, or is
// more than a message, the watch begins, and has to.
func (r *runner) catchUp(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, r.store.timeout)
	defer cancel()
	s := &r.session
	resp, err := r.client.Get(within, r.store.prefix+"/", clientv3.WithPrefix(), clientv3.WithMinModRev(s.mirror.revision+1))
	switch {
	case oversize(err):
		r.follow(ctx)
		return nil
	case err != nil:
		return r.store.explain("read what is new under "+r.store.prefix+"/", err)
	case resp.Header.Revision < s.seen:
		s.lower(resp.Header.Revision)
		r.relist()
		return nil
	}
	config := s.mirror.config.revision
	s.seen = resp.Header.Revision
	s.mirror.catchUp(r.store.prefix, resp)
	if s.mirror.config.revision != config {
		s.readConfig()
	}
	if s.mirror.revision < resp.Header.Revision {
		r.follow(ctx)
	}
	return nil
}

// catchUp takes in the keys that were written since the mirror's revision. Those that were deleted are not among them: only
// where there are as many keys in all as in the mirror, which must keep all of them, does it hold none that is gone, and is
// complete. Should etcd one day count only what it sends (its issue 18267), there are fewer, and it is not. Keys under
// subnets/ that are no leases are left to the watch, for they are counted as they come.
func (m *mirror) catchUp(prefix string, resp *clientv3.GetResponse) {
	for _, kv := range resp.Kvs {
		name := strings.TrimPrefix(string(kv.Key), prefix+"/")
		if key, ok := strings.CutPrefix(name, subnets); ok {
			if _, err := subnet.ParseKey(key); err != nil {
				m.partial = true
				continue
			}
		}
		m.put(name, kv)
	}
	if !m.partial && resp.Count == m.size() {
		m.reach(resp.Header.Revision)
	}
}
