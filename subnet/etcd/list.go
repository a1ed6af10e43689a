package etcd

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
)

// maxMessage bounds a message of etcd's in bytes, whatever somebody has written there. It is some thousand leases: a
// larger page is asked for again in smaller ones, a watch that brings more ends and everything is listed.
const maxMessage = 4 << 20

// list reads everything under PREFIX/ in pages, all at the revision of the first: a whole mirror or an error. It calls came
// for each page, for many of them take long.
func (s *Store) list(ctx context.Context, came func()) (*mirror, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	root := s.prefix + "/"
	p := page{from: root, end: clientv3.GetPrefixRangeEnd(root), limit: s.pageSize}
	m := newMirror(0)
	for {
		resp, err := s.read(ctx, client, p)
		if oversize(err) && p.shrink() {
			continue
		}
		if err != nil {
			return nil, s.explain("list "+root, err)
		}
		came()
		if p.revision == 0 { // the header has etcd's newest, not the one that was asked for
			p.revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if p.keysOnly {
				kv.Value = huge
			}
			m.put(strings.TrimPrefix(string(kv.Key), root), kv)
		}
		if !resp.More {
			m.revision = p.revision
			return m, nil
		}
		if len(resp.Kvs) == 0 {
			return nil, s.explain("list "+root, errors.New("a page without a key, and more to come"))
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

// shrink makes a page smaller that was too large: at the end it is one key without its value.
func (p *page) shrink() bool {
	if p.limit > 1 {
		p.limit /= 2
		return true
	}
	was := p.keysOnly
	p.keysOnly = true
	return !was
}

// huge stands for a value that is larger than a message. Nothing is ever valid that is as large.
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

// oversize tells whether gRPC refused a message for its size. etcd uses the same code when its disk is full or it has
// too much to do, but in errors of its own.
func oversize(err error) bool {
	var server rpctypes.EtcdError
	return status.Code(err) == codes.ResourceExhausted && !errors.As(err, &server)
}
