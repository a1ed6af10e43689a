package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A datagram starts with the mark of its flow and its number.
const (
	headerSize = 16
	maxSize    = 65507    // what fits in an IPv4 packet with a UDP header
	bufferSize = 16 << 20 // of a socket in bytes: for some seconds in which this process gets no CPU
)

// flow is the datagrams of one direction. Its sending socket receives those of the other direction.
type flow struct {
	from, to *net.UDPConn
	target   netip.AddrPort
	mark     [8]byte // identifies its datagrams
	tally    tally
}

// open opens a socket at each end, and makes the flows between them.
func open(a, b End) (flows [2]*flow, err error) {
	var conns [2]*net.UDPConn
	for i, e := range [2]End{a, b} {
		if conns[i], err = socket(e); err != nil {
			if i > 0 {
				_ = conns[0].Close()
			}
			return flows, err
		}
	}
	for i := range flows {
		f := &flow{from: conns[i], to: conns[1-i]}
		f.target = f.to.LocalAddr().(*net.UDPAddr).AddrPort()
		binary.BigEndian.PutUint64(f.mark[:], rand.Uint64())
		flows[i] = f
	}
	return flows, nil
}

// socket opens a UDP socket at an end. It is not connected, so ICMP messages do not end it. Its buffers hold what is
// sent while a neighbour is resolved, and what arrives while this process does not read.
func socket(e End) (*net.UDPConn, error) {
	var conn *net.UDPConn
	err := e.Place.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(e.Addr, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket on %s: %w", e.Addr, err)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		var forced error
		err = raw.Control(func(fd uintptr) {
			for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
				forced = errors.Join(forced, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, bufferSize))
			}
		})
		err = errors.Join(err, forced)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("enlarge the buffers of a UDP socket on %s: %w", e.Addr, err)
	}
	return conn, nil
}

// send sends until ctx ends. It skips ticks that it was too slow for.
func (f *flow) send(ctx context.Context, o Options) {
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	began := time.Now()
	datagram := make([]byte, o.Size)
	copy(datagram, f.mark[:])
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		binary.BigEndian.PutUint64(datagram[len(f.mark):], f.tally.send(time.Since(began)))
		_, _ = f.from.WriteToUDPAddrPort(datagram, f.target) // what the kernel refuses does not arrive, so it counts as lost
	}
}

// receive counts what arrives until the socket is closed.
func (f *flow) receive() {
	buffer := make([]byte, maxSize+1)
	for {
		n, _, err := f.to.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n >= headerSize && bytes.HasPrefix(buffer, f.mark[:]) {
			f.tally.arrive(binary.BigEndian.Uint64(buffer[len(f.mark):]))
		}
	}
}
