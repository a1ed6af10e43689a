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

// askTimeout bounds one question; nothing is asked twice.
const askTimeout = 5 * time.Second

// protocols that a mirror answers by.
var protocols = []string{"tcp", "udp"}

// newMirror answers on an address of a place, until the test ends, by TCP and UDP with the source address it sees. Port
// 0 is any free one.
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
		_ = errors.Join(l.Close(), u.Close()) // it ends them
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
		_, _ = io.WriteString(c, c.RemoteAddr().String()) // the asker notices
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
		_, _ = u.WriteToUDPAddrPort([]byte(from.String()), from) // the asker notices
	}
}

// ask asks a mirror from a place, and returns the source address it sees.
func ask(ctx context.Context, from *lab.Place, protocol string, mirror netip.AddrPort) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
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

// sees asks a mirror from a place by both protocols, and tells where the source address it sees is not the wanted one.
func sees(ctx context.Context, from *lab.Place, mirror netip.AddrPort, want netip.Addr) error {
	var errs []error
	for _, protocol := range protocols {
		saw, err := ask(ctx, from, protocol, mirror)
		if err == nil && saw != want {
			err = fmt.Errorf("it sees %s, not %s", saw, want)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s asks %s by %s: %w", from.Name, mirror, protocol, err))
		}
	}
	return errors.Join(errs...)
}

// newEcho sends datagrams back to where they come from, until the test ends.
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
		_ = u.Close() // it ends the goroutine
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

// comesBack sends a datagram to an echo and compares what comes back.
func comesBack(u *net.UDPConn, echo netip.AddrPort, datagram []byte) error {
	if err := u.SetDeadline(time.Now().Add(askTimeout)); err != nil {
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
		return fmt.Errorf("what comes back, %d bytes, is not the datagram of %d bytes", n, len(datagram))
	}
	return nil
}
