package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
)

// maxMessage bounds a message of etcd in bytes, whatever another program has written there. It holds several thousand leases.
// A larger page is split into smaller ones. A watch ends if it brings a larger response. Then everything is listed.
const maxMessage = 4 << 20

// relist schedules a new list, at most one per second.
func (r *runner) relist() {
	if !r.schedule.has(listAll) {
		r.schedule.set(listAll, r.listing.last.Add(time.Second))
	}
}

// list lists everything and gives it to the machine.
func (r *runner) list(ctx context.Context) error {
	r.listing.last = time.Now()
	r.stopWatch()
	history, _, err := r.compareHistory(ctx)
	var all *machine.Mirror
	if err == nil {
		first := r.listing.count == 0
		all, err = r.store.list(ctx, func() {
			if first { // this page came over the first connection, so there is nothing older to check
				first = false
				r.store.newConnection()
			}
			r.answered()
			r.report(r.err)
		})
	}
	if err != nil {
		r.schedule.set(listAll, time.Now())
		return err
	}
	r.answered()
	r.schedule.clear(listAll)
	r.mustCompare = false
	r.listing.count++
	r.listing.mismatches = 0
	if r.machine.Replace(all, history == otherHistory, time.Now()) && r.machine.Established() {
		r.schedule.set(renewTTL, time.Now()) // the etcd lease may be lost too
	}
	r.scheduleCheck()
	r.watchIfNeeded(ctx)
	return nil
}

// list reads everything under PREFIX/ in pages, all at the revision of the first one. It returns a complete mirror or an
// error. It calls arrived for each page, because many pages take a long time.
func (s *Store) list(ctx context.Context, arrived func()) (*machine.Mirror, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	root := s.key("")
	p := page{from: root, end: clientv3.GetPrefixRangeEnd(root), limit: s.pageSize}
	m := machine.NewMirror()
	for {
		resp, err := s.read(ctx, client, p)
		if oversize(err) && p.shrink() {
			continue
		}
		if err != nil {
			return nil, s.explain("list "+root, err)
		}
		arrived()
		if p.revision == 0 { // the header has etcd's newest revision, not the one that was asked for
			p.revision = resp.Header.Revision
		}
		for _, kv := range s.keyValues(resp.Kvs) {
			if p.keysOnly {
				kv.Value = huge
			}
			m.Put(kv)
		}
		if !resp.More {
			m.Complete(p.revision)
			return m, nil
		}
		if len(resp.Kvs) == 0 {
			return nil, s.explain("list "+root, errors.New("etcd sent a page without keys, although more follow"))
		}
		p.from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		p.limit, p.keysOnly = min(2*p.limit, s.pageSize), false
	}
}

// page is the part of a list that is read with one call.
type page struct {
	from, end string
	revision  int64 // 0: the newest
	limit     int64 // how many keys
	keysOnly  bool
}

// shrink makes a page smaller that was too large, and reports whether it could. The smallest page is one key without its
// value.
func (p *page) shrink() bool {
	if p.limit > 1 {
		p.limit /= 2
		return true
	}
	was := p.keysOnly
	p.keysOnly = true
	return !was
}

// huge replaces a value larger than a message. No value of this size is ever valid.
var huge = make([]byte, subnet.MaxValue+1)

func (s *Store) read(ctx context.Context, client *clientv3.Client, p page) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	opts := []clientv3.OpOption{clientv3.WithRange(p.end), clientv3.WithLimit(p.limit), clientv3.WithRev(p.revision)}
	if p.keysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	return client.Get(ctx, p.from, opts...)
}

// oversize reports whether gRPC refused a message because of its size. etcd uses the same code when its disk is full or it is
// overloaded, but in errors of its own.
func oversize(err error) bool {
	var server rpctypes.EtcdError
	return status.Code(err) == codes.ResourceExhausted && !errors.As(err, &server)
}
