package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// On a connection the client sends a number and the server returns it.
const (
	askEvery = 10 * time.Millisecond
	patience = 30 * time.Second // the time for an answer; TCP sends again after up to twice an outage's length
)

// connections is the TCP connections of a stream.
type connections struct {
	clients, servers []net.Conn
	causes           []error // the error of a client's connection, by its index; nil: none
	asking, echoing  sync.WaitGroup
}

// connect opens the connections from a to b, and uses them until sending ends. ctx bounds the opening.
func connect(ctx, sending context.Context, a, b End, count int) (*connections, error) {
	c := &connections{causes: make([]error, count)}
	if count == 0 {
		return c, nil
	}
	var listener net.Listener
	err := b.Place.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(b.Addr, 0).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", b.Addr, err)
	}
	defer listener.Close()
	for range count {
		if err := c.add(ctx, a, listener); err != nil {
			c.close()
			return nil, fmt.Errorf("connect %s to %s: %w", a.Addr, b.Addr, err)
		}
	}
	for i := range count {
		c.echoing.Go(func() { _, _ = io.Copy(c.servers[i], c.servers[i]) }) // the client notices its end
		c.asking.Go(func() { c.causes[i] = ask(sending, c.clients[i]) })
	}
	return c, nil
}

func (c *connections) add(ctx context.Context, from End, listener net.Listener) error {
	var client net.Conn
	err := from.Place.Do(func() (err error) {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from.Addr, 0))}
		client, err = dialer.DialContext(ctx, "tcp", listener.Addr().String())
		return err
	})
	if err != nil {
		return err
	}
	c.clients = append(c.clients, client)
	server, err := listener.Accept() // it is already in the queue
	if err == nil {
		c.servers = append(c.servers, server)
	}
	return err
}

// ask sends requests until ctx ends, and then one more. It returns the error that breaks the connection.
func ask(ctx context.Context, conn net.Conn) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var question, answer [8]byte
	for number := uint64(0); ; number++ {
		last := ctx.Err() != nil
		binary.BigEndian.PutUint64(question[:], number)
		err := conn.SetDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = conn.Write(question[:])
		}
		if err == nil {
			_, err = io.ReadFull(conn, answer[:])
		}
		if err == nil && answer != question {
			err = errors.New("the answer is a wrong one")
		}
		if err != nil {
			return fmt.Errorf("question %d from %s to %s: %w", number, conn.LocalAddr(), conn.RemoteAddr(), err)
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// result waits until all requests have ended, after their context has. It returns the result.
func (c *connections) result() Result {
	c.asking.Wait()
	c.close()
	c.echoing.Wait()
	r := Result{Connections: len(c.clients)}
	for _, err := range c.causes {
		if err != nil {
			r.Broken++
			r.Causes = append(r.Causes, err)
		}
	}
	return r
}

func (c *connections) close() {
	for _, conn := range c.clients {
		_ = conn.Close() // its answers have arrived, or its error is known
	}
	for _, conn := range c.servers {
		_ = conn.Close()
	}
}
