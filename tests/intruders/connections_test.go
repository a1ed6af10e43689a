package intruders

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
	"github.com/podlane/podlane/tests/stream"
)

// connect opens a TCP connection. The end of the test closes it.
func connect(t *testing.T, from *lab.Pod, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := dial(t, from.Place, to.String(), 5*time.Second)
	cluster.Check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// listenTCP opens a TCP port. The end of the test closes it, if the caller has not.
func listenTCP(t *testing.T, p stream.Place, at netip.AddrPort) (l net.Listener) {
	t.Helper()
	cluster.Check(t, p.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", at.String())
		return err
	}))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// accept returns the next connection. The end of the test closes it.
func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	cluster.Check(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// expectByte sends a byte through a connection, and fails if it does not arrive.
func expectByte(t *testing.T, from, to net.Conn) {
	t.Helper()
	_, err := from.Write([]byte{1})
	cluster.Check(t, err)
	cluster.Check(t, to.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = to.Read(make([]byte, 1))
	cluster.Check(t, err)
}

// requestHealth requests /healthz through a connection and keeps it open.
func requestHealth(c net.Conn, limit time.Duration) (status string, err error) {
	request, err := http.NewRequest(http.MethodGet, "http://podlaned/healthz", nil)
	if err != nil {
		return "", err
	}
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if err := request.Write(c); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	return response.Status, nil
}
