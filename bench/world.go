package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/subnet"
)

// config is a network of 65,535 pod subnets.
const config = `{"Network": "10.0.0.0/8", "SubnetLen": 24, "Backend": {"Type": "vxlan"}}`

// world is a lab whose etcd has further nodes that are only leases.
type world struct {
	*lab.Lab
	peers int // number of them
}

// makeWorld makes a lab of one node and does not start its podlaned.
func makeWorld(ctx context.Context, b bench) (*world, error) {
	l, err := lab.New(ctx, lab.Options{Nodes: 1, Bin: b.bin, Config: config})
	if err != nil {
		return nil, err
	}
	w := &world{Lab: l}
	if err := w.SetConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("%w, %w", err, l.Close())
	}
	return w, nil
}

// makeBoth makes a world, and a namespace for the raw requests and the tools. end removes both.
func makeBoth(ctx context.Context, b bench) (w *world, beside bare, end func() error, err error) {
	if w, err = makeWorld(ctx, b); err != nil {
		return nil, beside, nil, err
	}
	if beside, err = makeBare(); err != nil {
		return nil, beside, nil, errors.Join(err, w.Close())
	}
	return w, beside, func() error { return errors.Join(beside.Delete(), w.Close()) }, nil
}

// peerLease returns the lease of the i-th further node, from 0. moved selects one of its public addresses.
func peerLease(i, moved int) subnet.Lease {
	p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), 0}), 24)
	public := netip.AddrFrom4([4]byte{198, 18, byte(10 + 100*moved + i>>8), byte(i)})
	l := subnet.Lease{BackendType: subnet.BackendVXLAN, Node: subnet.Node{ID: fmt.Sprintf("bench-%d", i), Name: fmt.Sprintf("node-%d.example.org", i), Version: "1.0.0"}}
	l.IPv4 = subnet.Endpoint{Subnet: p, PublicIP: public, VNI: 1, MAC: subnet.MACFor(p)}
	return l
}

// put writes the leases of the further nodes [from, to).
func (w *world) put(ctx context.Context, from, to, moved int) error {
	var ops []clientv3.Op
	for i := from; i < to; i++ {
		l := peerLease(i, moved)
		ops = append(ops, clientv3.OpPut(subnetKey(l), string(l.Value())))
	}
	return w.commit(ctx, ops)
}

// remove deletes them.
func (w *world) remove(ctx context.Context, from, to int) error {
	var ops []clientv3.Op
	for i := from; i < to; i++ {
		ops = append(ops, clientv3.OpDelete(subnetKey(peerLease(i, 0))))
	}
	return w.commit(ctx, ops)
}

func subnetKey(l subnet.Lease) string { return lab.DefaultPrefix + "/subnets/" + l.Pair().Key() }

// commit writes a hundred keys at a time.
func (w *world) commit(ctx context.Context, ops []clientv3.Op) error {
	for chunk := range slices.Chunk(ops, 100) {
		if _, err := w.Etcd.Client.Txn(ctx).Then(chunk...).Commit(); err != nil {
			return fmt.Errorf("write leases: %w", err)
		}
	}
	return nil
}

// setPeers makes the number of further nodes equal to peers.
func (w *world) setPeers(ctx context.Context, peers int) (err error) {
	if peers < w.peers {
		err = w.remove(ctx, peers, w.peers)
	} else {
		err = w.put(ctx, w.peers, peers, 0)
	}
	w.peers = peers
	return err
}

// reset resets node n, as if podlaned had never run on it.
func (w *world) reset(ctx context.Context, n *lab.Node) error {
	keys, err := w.Etcd.List(ctx, lab.DefaultPrefix+"/subnets/")
	if err != nil {
		return err
	}
	for key, value := range keys {
		if l, err := subnet.ParseLease(key[len(lab.DefaultPrefix+"/subnets/"):], []byte(value)); err == nil && l.Node.Name == n.Name {
			if err := w.Etcd.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	if _, err := n.Run(ctx, "podlaned", "cleanup"); err != nil {
		return err
	}
	for _, path := range []string{n.StateDir(), n.NodeFile(), n.LogFile()} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
