package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// socket asks the kernel for its nftables in the network namespace of the thread that opened it.
type socket struct{ *netlink.Conn }

// open takes the library's own configuration: nil has it look first how large each message is.
func open(config *netlink.Config) (socket, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, config)
	if err != nil {
		return socket{}, fmt.Errorf("open an nftables socket: %w", explain(err))
	}
	return socket{c}, nil
}

// close has no error worth telling: a socket that was only read from loses nothing.
func (s socket) close() { _ = s.Close() }

// message is one of nftables' requests: netlink's header, then nfgenmsg (family, version, resource), then attributes.
func message(kind int, flags netlink.HeaderFlags, f nftables.TableFamily, attrs ...netlink.Attribute) (netlink.Message, error) {
	b, err := netlink.MarshalAttributes(attrs)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), //nolint:gosec // kinds are below 256
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{byte(f), unix.NFNETLINK_V0, 0, 0}, b...),
	}, err
}

// generation is a number that every change of the rule set raises. It is always the first thing asked for, and the
// kernel's answer tells whether there are nftables at all.
func (s socket) generation() (uint32, error) {
	answer, err := s.ask(unix.NFT_MSG_GETGEN, 0, nftables.TableFamilyUnspecified)
	if err != nil {
		return 0, explain(err)
	}
	for _, a := range answer {
		if id := a.data(unix.NFTA_GEN_ID); len(id) == 4 {
			return binary.BigEndian.Uint32(id), nil
		}
	}
	return 0, errors.New("read nftables' generation: the kernel's answer has none")
}

// object is one object of an answer.
type object struct {
	family nftables.TableFamily
	attrs  []byte
}

// data is that of an attribute; nil where the object has none of that kind.
func (o object) data(kind uint16) []byte {
	data, _ := find(o.attrs, kind)
	return data
}

func (o object) text(kind uint16) string { return text(o.data(kind)) }

func (o object) number(kind uint16) uint32 {
	if b := o.data(kind); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (s socket) dump(kind int, f nftables.TableFamily, attrs ...netlink.Attribute) ([]object, error) {
	return s.ask(kind, netlink.Dump, f, attrs...)
}

func (s socket) ask(kind int, flags netlink.HeaderFlags, f nftables.TableFamily, attrs ...netlink.Attribute) ([]object, error) {
	m, err := message(kind, flags, f, attrs...)
	if err != nil {
		return nil, err
	}
	answer, err := s.Execute(m)
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	var objects []object
	for _, a := range answer {
		if len(a.Data) < 4 {
			return nil, errors.New("read nftables: the kernel's answer is too short")
		}
		objects = append(objects, object{nftables.TableFamily(a.Data[0]), a.Data[4:]})
	}
	return objects, nil
}

// isNoSuch reports whether the kernel has no such object.
func isNoSuch(err error) bool { return errors.Is(err, unix.ENOENT) }

// explain says in words what the kernel means by the errors that have nothing to do with the request itself.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("needs CAP_NET_ADMIN (root): %w", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel has no nftables (module nf_tables): %w", err)
	}
	return err
}

// explainWrite is explain for a transaction.
func explainWrite(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return explain(err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("what the rules stand in has just been changed, or the kernel lacks a part of nftables (modules nft_chain_nat, nft_masq, nft_fib_inet, nft_ct): %w", err)
	}
	return err
}
