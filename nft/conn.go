package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/kernel"
)

// Conn is a netlink socket that reads nftables, of one network namespace.
type Conn struct{ conn *netlink.Conn }

// Dial opens a socket for the calling thread's network namespace.
func Dial() (*Conn, error) {
	// The kernel sends at most 32 KiB at once. Without this size, the library would read the size of each message first.
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: 32 << 10})
	if err != nil {
		return nil, fmt.Errorf("open an nftables socket: %w", explain(err))
	}
	return &Conn{c}, nil
}

// Close closes the socket. Its error cannot matter: the socket only read.
func (c *Conn) Close() { _ = c.conn.Close() }

// errChanged means that the rule set changed during the read.
var errChanged = errors.New("read nftables: other programs change it faster than it can be read")

// Consistent calls read until the rule set does not change meanwhile, at most 20 times. It passes the current generation to read,
// and returns the one that was read. The kernel cannot list everything at once. The parts are consistent only if the generation
// is the same before and after the read.
func (c *Conn) Consistent(read func(generation uint32) error) (generation uint32, err error) {
	err = kernel.RetryRead(errChanged, func() error {
		if generation, err = c.Generation(); err != nil {
			return err
		}
		readErr := read(generation)
		after, err := c.Generation()
		switch {
		case err != nil:
			return err
		case after != generation:
			return errChanged
		}
		return readErr
	})
	return generation, err
}

// Generation returns the number that every change of the rule set raises. It must be the first request of a read: its error
// explains that the kernel has no nftables.
func (c *Conn) Generation() (uint32, error) {
	answer, err := c.ask(unix.NFT_MSG_GETGEN, 0, nftables.TableFamilyUnspecified)
	if err != nil {
		return 0, explain(err)
	}
	for _, a := range answer {
		if id := a.attrs.Data(unix.NFTA_GEN_ID); len(id) == 4 {
			return binary.BigEndian.Uint32(id), nil
		}
	}
	return 0, errors.New("read nftables' generation: the kernel's answer has none")
}

// answer is one object of the kernel's answer.
type answer struct {
	family nftables.TableFamily
	attrs  Attrs
}

// ask sends a request and returns the answers. A request is netlink's header, nfgenmsg (family, version, resource), and
// attributes.
func (c *Conn) ask(kind int, flags netlink.HeaderFlags, f nftables.TableFamily, attrs ...netlink.Attribute) (answers []answer, err error) {
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	messages, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), //nolint:gosec // kinds are below 256
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{byte(f), unix.NFNETLINK_V0, 0, 0}, b...),
	})
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	for _, m := range messages {
		if len(m.Data) < 4 {
			return nil, errors.New("read nftables: the kernel's answer is too short")
		}
		answers = append(answers, answer{nftables.TableFamily(m.Data[0]), m.Data[4:]})
	}
	return answers, nil
}

// dump asks for all objects of a kind and parses each.
func dump[T any](c *Conn, parse func(answer) T, kind int, f nftables.TableFamily, attrs ...netlink.Attribute) (all []T, err error) {
	answers, err := c.ask(kind, netlink.Dump, f, attrs...)
	for _, a := range answers {
		all = append(all, parse(a))
	}
	return all, err
}

// name returns an attribute that holds a name.
func name(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}
