package etcd

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/machine"
)

// Config reads the network configuration in etcd, and the revision at which it was written. The error is ErrNoConfig if there
// is none.
func (s *Store) Config(ctx context.Context) (raw []byte, revision int64, err error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := client.Get(ctx, s.configKey())
	if err != nil {
		return nil, 0, s.explain("read "+s.configKey(), err)
	}
	if len(resp.Kvs) == 0 {
		return nil, 0, fmt.Errorf("%s: %w", s.configKey(), ErrNoConfig)
	}
	return resp.Kvs[0].Value, resp.Kvs[0].ModRevision, nil
}

// SetConfig checks and writes the network configuration. If another program writes it at the same time, SetConfig overwrites
// nothing and returns ErrConfigChanged.
func (s *Store) SetConfig(ctx context.Context, raw []byte) error {
	if _, _, err := subnet.ParseNetwork(raw); err != nil {
		return err
	}
	_, revision, err := s.Config(ctx)
	if err != nil && !errors.Is(err, ErrNoConfig) {
		return err
	}
	return s.swapConfig(ctx, raw, revision)
}

// swapConfig writes the configuration if its revision is still the given one. 0: if there is none.
func (s *Store) swapConfig(ctx context.Context, raw []byte, revision int64) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.configKey()), "=", revision)).
		Then(clientv3.OpPut(s.configKey(), string(raw))).
		Commit()
	if err != nil {
		return s.explain("write "+s.configKey(), err)
	}
	if !resp.Succeeded {
		return fmt.Errorf("write %s: %w", s.configKey(), ErrConfigChanged)
	}
	return nil
}

func (s *Store) configKey() string { return s.key(machine.ConfigName) }

// key returns the key in etcd of a name.
func (s *Store) key(name string) string { return s.prefix + "/" + name }
