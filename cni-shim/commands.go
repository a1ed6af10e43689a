package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/podlane/podlane/subnet"
)

// task is what a command has to do: its configuration, the node, and what comes of the two.
type task struct {
	config
	node subnet.NodeFile
	conf []byte // the delegate's configuration
}

// prepare makes the task out of the configuration and the node file, which it reads by read.
func prepare(data []byte, read func(path string) (subnet.NodeFile, error)) (t task, err error) {
	if t.config, err = parse(data); err != nil {
		return t, err
	}
	if t.node, err = read(t.nodeFile); err != nil {
		return t, err
	}
	t.conf, err = t.translate(t.node)
	return t, err
}

// add becomes the delegate where a new pod may be attached: code 11 (try again later) where the node is not ready for
// one. A runtime that knows no STATUS (containerd 1.x) learns it here.
func add(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, readNode)
	if err != nil {
		return err
	}
	if t.node.NotReady != "" {
		return types.NewError(types.ErrTryAgainLater, "no new pod may be attached: "+t.node.NotReady, "see `podlaned status`")
	}
	if t.plugin == bridge {
		if err := staleGateway(t.conf, t.node); err != nil {
			return err
		}
	}
	t.freeEmpty()
	return delegate(t.plugin, args.Path, t.conf)
}

// freeEmpty frees the addresses whose reservations a crash left empty: they may block every address. An error does not
// refuse the pod, because host-local may still have a free address.
func (t task) freeEmpty() {
	if t.ipamType != hostLocal {
		return
	}
	if dir, err := t.reservationDir(); err == nil && hasEmpty(dir) {
		_ = freeUnowned(dir)
	}
}

// status is add up to the exec: what stops an ADD is code 50 (not available) here. Then the delegate gets the STATUS,
// as the spec demands (section 2): bridge 1.9.1 hands it on to its IPAM plugin, and host-local always agrees.
func status(args *skel.CmdArgs) error {
	err := add(args)
	var e *types.Error
	if !errors.As(err, &e) {
		e = types.NewError(types.ErrInternal, err.Error(), "")
	}
	return types.NewError(types.ErrPluginNotAvailable, e.Msg, e.Details)
}

// check becomes the delegate. A node that takes no new pod may still have good ones, so NotReady is not looked at.
func check(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, readNode)
	if err != nil {
		return err
	}
	return delegate(t.plugin, args.Path, t.conf)
}

// del becomes the delegate whether there is a node file or not: an address must never leak because the daemon is away.
func del(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, lastNode)
	if err != nil {
		return err
	}
	return delegate(t.plugin, args.Path, t.conf)
}

// readNode reads the node file. Whatever is wrong with it, podlaned writes a new one: try again later.
func readNode(path string) (subnet.NodeFile, error) {
	n, err := subnet.ReadNodeFile(path)
	if err == nil {
		return n, nil
	}
	problem := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		problem = fmt.Sprintf("there is no node file %s", path)
	}
	return n, types.NewError(types.ErrTryAgainLater, problem, "podlaned writes it once this node has its pod subnet: "+
		"is podlaned running? `systemctl status podlaned` and `podlaned status` tell")
}

// lastNode is the node file, or what stands in for it where nothing but freeing an address is wanted. host-local frees
// by container and interface, whatever the range, but with no range at all it fails and leaks; so it gets one for
// documentation (RFC 5737).
func lastNode(path string) (subnet.NodeFile, error) {
	n, err := subnet.ReadNodeFile(path)
	if err != nil {
		anyRange := subnet.Pair{IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 0}), 24)}
		n = subnet.NodeFile{Network: anyRange, Subnet: anyRange, MTU: anyRange.MinMTU()}
	}
	return n, nil
}
