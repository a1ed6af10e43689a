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

// task is the input of a command: its configuration, the node file, and the delegate's configuration made from both.
type task struct {
	config
	node subnet.NodeFile
	conf []byte // the delegate's configuration
}

// prepare makes the task from the configuration and the node file. read reads the node file.
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

// add becomes the delegate if pods may be attached. Otherwise it returns code 11 (try again later). A runtime without
// STATUS (containerd 1.x) gets the reason only here.
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

// freeEmpty frees the addresses whose reservations a crash left empty. They may be all addresses of the subnet. An error
// does not fail the ADD, because host-local may still have a free address.
func (t task) freeEmpty() {
	if t.ipamType != hostLocal {
		return
	}
	if dir, err := t.reservationDir(); err == nil && hasEmpty(dir) {
		_ = freeUnowned(dir)
	}
}

// status makes add's checks. Their errors get code 50 (not available). Without an error, it becomes the delegate, which
// answers the STATUS, as the spec requires (section 2). bridge 1.9.1 asks its IPAM plugin. host-local always succeeds.
func status(args *skel.CmdArgs) error {
	err := add(args) // returns only with an error; otherwise this process is the delegate
	var e *types.Error
	if !errors.As(err, &e) {
		e = types.NewError(types.ErrInternal, err.Error(), "")
	}
	return types.NewError(types.ErrPluginNotAvailable, e.Msg, e.Details)
}

// check becomes the delegate. It ignores NotReady: a node that attaches no new pods may still have working ones.
func check(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, readNode)
	if err != nil {
		return err
	}
	return delegate(t.plugin, args.Path, t.conf)
}

// del becomes the delegate, with or without a node file. An address must never leak because the daemon is not running.
func del(args *skel.CmdArgs) error {
	t, err := prepare(args.StdinData, nodeOrPlaceholder)
	if err != nil {
		return err
	}
	return delegate(t.plugin, args.Path, t.conf)
}

// readNode reads the node file. Its errors have code 11 (try again later), because podlaned writes a new file.
func readNode(path string) (subnet.NodeFile, error) {
	n, err := subnet.ReadNodeFile(path)
	if err == nil {
		return n, nil
	}
	problem := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		problem = fmt.Sprintf("there is no node file %s", path)
	}
	return n, types.NewError(types.ErrTryAgainLater, problem, "podlaned writes it when this node has its pod subnet; "+
		"is podlaned running? See `systemctl status podlaned` and `podlaned status`")
}

// nodeOrPlaceholder returns the node file, or a placeholder that is enough to free an address. host-local frees by
// container and interface, whatever the range. Without any range it fails and leaks the address. So the placeholder has
// one for documentation (RFC 5737).
func nodeOrPlaceholder(path string) (subnet.NodeFile, error) {
	n, err := subnet.ReadNodeFile(path)
	if err != nil {
		anyRange := subnet.Pair{IPv4: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 0}), 24)}
		n = subnet.NodeFile{Network: anyRange, Subnet: anyRange, MTU: anyRange.MinMTU()}
	}
	return n, nil
}
