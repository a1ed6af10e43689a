package intruders

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// receiver is a UDP socket. It records each datagram's number and when it arrived.
type receiver struct {
	addr netip.AddrPort
	conn *net.UDPConn
	mu   sync.Mutex
	came []arrival
}

type arrival struct {
	number uint64
	when   time.Time
}

// listen opens a receiver on a place's address, on a free port. It ends with the test.
func listen(t *testing.T, p stream.Place, a netip.Addr) *receiver {
	t.Helper()
	var conn *net.UDPConn
	cluster.Check(t, p.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		return err
	}))
	r := &receiver{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn: conn}
	r.addr = netip.AddrPortFrom(r.addr.Addr().Unmap(), r.addr.Port())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64); ; {
			n, err := conn.Read(b)
			if err != nil {
				return // closed
			}
			if n >= 8 {
				r.record(binary.BigEndian.Uint64(b))
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return r
}

// sender returns a sender with the receiver's own address and port.
func (r *receiver) sender(to netip.AddrPort) sender {
	return func(payload []byte) error {
		_, err := r.conn.WriteToUDPAddrPort(payload, to)
		return err
	}
}

func (r *receiver) record(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.came = append(r.came, arrival{number, time.Now()})
}

// arrivals returns all that has arrived.
func (r *receiver) arrivals() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came[:len(r.came):len(r.came)]
}

// sender sends a UDP payload.
type sender func(payload []byte) error

// openSender opens a UDP socket in a place. Its packets have this source address, even if the place does not.
func openSender(t *testing.T, p stream.Place, source netip.Addr, to netip.AddrPort) sender {
	t.Helper()
	anySource := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		level, option := unix.IPPROTO_IP, unix.IP_TRANSPARENT
		if source.Is6() {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
		}
		controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
		return errors.Join(controlErr, err)
	}}
	var conn net.PacketConn
	cluster.Check(t, p.Do(func() (err error) {
		conn, err = anySource.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(source, 0).String())
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return func(payload []byte) error {
		_, err := conn.WriteTo(payload, net.UDPAddrFromAddrPort(to))
		return err
	}
}

// numberedPayload returns a payload that a receiver records.
func numberedPayload(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// tunnelled returns a VXLAN packet of the pod network from its header on (RFC 7348 section 5). Inside is an Ethernet
// frame with a UDP datagram between pods. One node's VTEP sends it to another's.
func tunnelled(vtep net.HardwareAddr, from, to netip.AddrPort, payload []byte) []byte {
	b := []byte{0x08, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, tunnelVNI<<8)
	b = append(append(b, vtep...), 2, 0, 0, 0, 0, 0x77) // the source is ignored
	if to.Addr().Is4() {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	} else {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	}
	return append(b, datagram(from, to, payload)...)
}

// datagram returns a UDP datagram from its IP header on.
func datagram(from, to netip.AddrPort, payload []byte) []byte {
	length := uint16(8 + len(payload))
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	for _, field := range []uint16{to.Port(), length, 0} {
		udp = binary.BigEndian.AppendUint16(udp, field)
	}
	udp = append(udp, payload...)
	pair := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	pseudo := append(append([]byte{}, pair...), 0, unix.IPPROTO_UDP, byte(length>>8), byte(length)) // RFC 768; RFC 8200 section 8.1 has the same sum
	binary.BigEndian.PutUint16(udp[6:], checksum(append(pseudo, udp...)))
	if to.Addr().Is6() {
		ip := []byte{0x60, 0, 0, 0, byte(length >> 8), byte(length), unix.IPPROTO_UDP, 64}
		return append(append(ip, pair...), udp...)
	}
	ip := append([]byte{0x45, 0, byte((20 + length) >> 8), byte(20 + length), 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}, pair...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return append(ip, udp...)
}

// checksum returns the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for _, last := range b {
		sum += uint32(last) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
