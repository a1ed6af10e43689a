package rtnl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// The kernel puts up to 32 KiB of a dump into one read if they fit.
	readSize = 32 << 10
	// Limits of one sendmsg. Larger ones gain nothing.
	maxSend     = 256 << 10
	maxRequests = 2048
	// Space of one error reply in the receive buffer. It is a sk_buff of some 0.8 KB, or 1.3 KB with the kernel's
	// text.
	replySize = 2 << 10
	// The kernel answers within the system call. This bounds the wait if one does not.
	timeout = 10 // seconds
)

// Conn is a netlink socket for requests. It belongs to the network namespace of the thread that opened it. Only one
// goroutine at a time may use it.
type Conn struct {
	fd    int
	seq   uint32
	limit int // largest number of requests in one sendmsg: the error replies to all of them fit the receive buffer
	size  int // largest size of one sendmsg, in bytes
	buf   []byte
}

// Dial opens a socket in the network namespace of the calling thread.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	c := &Conn{fd: fd, buf: make([]byte, readSize)}
	if err := c.prepare(); err != nil {
		c.Close()
		return nil, fmt.Errorf("prepare netlink socket: %w", err)
	}
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() { _ = unix.Close(c.fd) } // nothing is buffered, so no error matters

func (c *Conn) prepare() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	wait := unix.Timeval{Sec: timeout}
	err := errors.Join(
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1),
		unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1),
		// Linux 4.20: the kernel obeys the filters of a dump request, and rejects filters that it does not know.
		unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1),
	)
	if err != nil {
		return err
	}
	receive, err := grow(c.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, maxRequests*replySize)
	if err != nil {
		return err
	}
	send, err := grow(c.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, 2*maxSend)
	if err != nil {
		return err
	}
	c.limit = max(1, min(receive/replySize, maxRequests))
	c.size = min(send/2, maxSend)
	return nil
}

// grow enlarges a socket's buffer to the wanted size, or to the machine's limit (net.core.rmem_max, wmem_max). It
// returns the size in bytes as the kernel accounts them. To exceed the limit needs CAP_NET_ADMIN in the initial user
// namespace, which a container may lack.
func grow(fd, force, option, size int) (int, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size); err != nil {
			return 0, err
		}
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
}

// Dump sends the one request in b with NLM_F_DUMP and calls each for every message of the answer. If the kernel's
// tables changed meanwhile, it returns ErrInterrupted. The messages may then be incomplete or wrong.
func (c *Conn) Dump(b *Batch, each func(Message)) error {
	h := b.buf
	native.PutUint16(h[6:], native.Uint16(h[6:])|unix.NLM_F_DUMP)
	c.seq++
	native.PutUint32(h[8:], c.seq)
	if err := c.write(b.buf); err != nil {
		return err
	}
	interrupted := false
	for {
		data, err := c.read()
		if err != nil {
			return err
		}
		for m, rest, ok := Next(data); ok; m, rest, ok = Next(rest) {
			if m.Seq != c.seq {
				continue
			}
			interrupted = interrupted || m.Flags&unix.NLM_F_DUMP_INTR != 0
			switch m.Type {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if err := answer(m); err != nil || !interrupted {
					return err
				}
				return ErrInterrupted
			default:
				each(m)
			}
		}
	}
}

// Get sends the one request in b and calls each for the messages of the answer. If the kernel refuses the request, the
// error wraps an *Error.
func (c *Conn) Get(b *Batch, each func(Message)) error {
	var refused error
	err := c.exchange(b, 0, 1, func(_ int, m Message) {
		if m.Type == unix.NLMSG_ERROR {
			refused = answer(m)
			return
		}
		each(m)
	})
	return errors.Join(err, refused)
}

// Send sends all requests, many in one sendmsg. Only the last one of each sendmsg asks for an acknowledgement. The
// kernel reports every failed request anyway, with its sequence number. Send calls failed for each of those, in the
// order of the requests. If Send returns an error, it is unknown which requests the kernel executed.
//
// Acknowledgements for all requests would overflow the socket. 1,000 requests gave 256 of them and then ENOBUFS.
func (c *Conn) Send(b *Batch, failed func(i int, err error)) error {
	for from := 0; from < b.Len(); {
		to := from + 1
		for to < b.Len() && to-from < c.limit && b.end(to)-b.starts[from] <= c.size {
			to++
		}
		err := c.exchange(b, from, to, func(i int, m Message) {
			if err := answer(m); m.Type == unix.NLMSG_ERROR && err != nil {
				failed(i, err)
			}
		})
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// exchange sends the requests [from, to). It reads until the last of them is answered, by an error or an
// acknowledgement.
func (c *Conn) exchange(b *Batch, from, to int, each func(i int, m Message)) error {
	first := c.seq + 1
	count := uint32(to - from) //nolint:gosec // at most maxRequests
	c.seq += count
	if err := c.write(b.seal(from, to, first)); err != nil {
		return err
	}
	for {
		data, err := c.read()
		if err != nil {
			return err
		}
		for m, rest, ok := Next(data); ok; m, rest, ok = Next(rest) {
			if m.Seq-first >= count { // unsigned: this also skips older messages
				continue
			}
			each(from+int(m.Seq-first), m)
			if m.Type == unix.NLMSG_ERROR && m.Seq == c.seq {
				return nil
			}
		}
	}
}

func (c *Conn) write(data []byte) error {
	if err := unix.Sendto(c.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to the kernel: %w", err)
	}
	return nil
}

func (c *Conn) read() ([]byte, error) {
	for {
		n, err := unix.Read(c.fd, c.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, fmt.Errorf("read from the kernel: %w", err)
		case n == len(c.buf):
			return nil, errShort
		}
		return c.buf[:n], nil
	}
}
