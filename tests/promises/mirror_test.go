package promises

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// mirrorTimeout bounds one request. There is no second attempt.
const mirrorTimeout = 5 * time.Second

// The protocols of a mirror.
var protocols = []string{"tcp", "udp"}

// newMirror starts a server on an address of a place, for TCP and UDP. It answers with the source address that it sees.
// It ends with the test. Port 0 is any free port.
func newMirror(t *testing.T, p *lab.Place, at netip.AddrPort) netip.AddrPort {
	t.Helper()
	var l net.Listener
	var u *net.UDPConn
	cluster.Check(t, p.Do(func() (err error) {
		if l, err = net.Listen("tcp", at.String()); err != nil {
			return err
		}
		at = l.Addr().(*net.TCPAddr).AddrPort()
		u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	var serving sync.WaitGroup
	serving.Go(func() { mirrorTCP(l) })
	serving.Go(func() { mirrorUDP(u) })
	t.Cleanup(func() {
		_ = errors.Join(l.Close(), u.Close()) // this ends the goroutines
		serving.Wait()
	})
	return at
}

func mirrorTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, c.RemoteAddr().String()) // the client notices
		_ = c.Close()
	}
}

func mirrorUDP(u *net.UDPConn) {
	buffer := make([]byte, 64)
	for {
		_, from, err := u.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		_, _ = u.WriteToUDPAddrPort([]byte(from.String()), from) // the client notices
	}
}

// askMirror asks a mirror from a place. It returns the source address that the mirror sees.
func askMirror(ctx context.Context, from *lab.Place, protocol string, mirror netip.AddrPort) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	var c net.Conn
	err := from.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, protocol, mirror.String())
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return netip.Addr{}, err
	}
	if protocol == "udp" {
		if _, err := io.WriteString(c, "who am I?"); err != nil {
			return netip.Addr{}, err
		}
	}
	answer := make([]byte, 64)
	n, err := c.Read(answer)
	if err != nil {
		return netip.Addr{}, err
	}
	saw, err := netip.ParseAddrPort(string(answer[:n]))
	return saw.Addr().Unmap(), err
}

// checkSource asks a mirror from a place by both protocols. It returns an error if the mirror sees another source
// address.
func checkSource(ctx context.Context, from *lab.Place, mirror netip.AddrPort, want netip.Addr) error {
	var errs []error
	for _, protocol := range protocols {
		saw, err := askMirror(ctx, from, protocol, mirror)
		if err == nil && saw != want {
			err = fmt.Errorf("source address: got %s, want %s", saw, want)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s asks %s by %s: %w", from.Name, mirror, protocol, err))
		}
	}
	return errors.Join(errs...)
}

// newEcho returns datagrams to their senders until the test ends.
func newEcho(t *testing.T, p *lab.Place, a netip.Addr) netip.AddrPort {
	t.Helper()
	u := listenUDP(t, p, a)
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := u.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			_, _ = u.WriteToUDPAddrPort(buffer[:n], from) // the sender notices
		}
	})
	t.Cleanup(func() {
		_ = u.Close() // this ends the goroutine
		serving.Wait()
	})
	return u.LocalAddr().(*net.UDPAddr).AddrPort()
}

func listenUDP(t *testing.T, p *lab.Place, a netip.Addr) (u *net.UDPConn) {
	t.Helper()
	cluster.Check(t, p.Do(func() (err error) {
		u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		return err
	}))
	return u
}

// checkEcho sends a datagram to an echo and compares the answer.
func checkEcho(u *net.UDPConn, echo netip.AddrPort, datagram []byte) error {
	if err := u.SetDeadline(time.Now().Add(mirrorTimeout)); err != nil {
		return err
	}
	if _, err := u.WriteToUDPAddrPort(datagram, echo); err != nil {
		return err
	}
	back := make([]byte, 1<<16)
	n, err := u.Read(back)
	if err != nil {
		return err
	}
	if !bytes.Equal(back[:n], datagram) {
		return fmt.Errorf("the answer of %d bytes differs from the datagram of %d bytes", n, len(datagram))
	}
	return nil
}
