package etcd

import (
	"context"
	"errors"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// list reads everything under PREFIX/ in pages, all at the revision of the first: a whole mirror or an error.
func (s *Store) list(ctx context.Context) (*mirror, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	root := s.prefix + "/"
	end := clientv3.GetPrefixRangeEnd(root)
	from := root
	m := newMirror(0)
	var revision int64
	for {
		resp, err := s.page(ctx, client, from, end, revision)
		if err != nil {
			return nil, s.explain("list "+root, err)
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			m.put(strings.TrimPrefix(string(kv.Key), root), kv)
		}
		if !resp.More {
			m.revision = revision
			return m, nil
		}
		if len(resp.Kvs) == 0 {
			return nil, s.explain("list "+root, errors.New("a page without a key, and more to come"))
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) page(ctx context.Context, client *clientv3.Client, from, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(s.pageSize), clientv3.WithRev(revision))
}
