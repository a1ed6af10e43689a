// Command turns measures how long an answer takes. One process of it asks over TCP or UDP, and another one answers. A
// turn is a burst of messages and the answer to it.
//
// Both processes use a single thread that blocks in the kernel, so they cost little beside the path between them. It
// measures as sockperf(1) does, but starts in milliseconds: sockperf sleeps for two seconds before each measurement.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const usage = `turns serve tcp|udp ADDRESS:PORT      answer one client until it ends
turns [flags] ask tcp|udp ADDRESS:PORT   ask, and print the figures as JSON`

func main() {
	lasting := flag.Duration("lasting", time.Second, "how `LONG` to ask, after a warm-up")
	burst := flag.Int("burst", 1, "`MESSAGES` for each answer")
	flag.Parse()
	if err := run(flag.Args(), *lasting, *burst); err != nil {
		fmt.Fprintln(os.Stderr, "turns:", err)
		os.Exit(1)
	}
}

func run(args []string, lasting time.Duration, burst int) error {
	if len(args) != 3 || burst < 1 {
		return errors.New("usage:\n" + usage)
	}
	switch command, network, addr := args[0], args[1], args[2]; command {
	case "serve":
		s, err := accept(network, addr)
		if err != nil {
			return err
		}
		return s.serve()
	case "ask":
		s, err := connect(network, addr)
		if err != nil {
			return err
		}
		r, err := s.ask(lasting, burst)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return fmt.Errorf("no command %q; usage:\n%s", args[0], usage)
}

// connect returns a connected socket. A receive call that waits longer than patience fails.
func connect(network, addr string) (socket, error) {
	conn, err := net.Dial(network, addr)
	if err != nil {
		return socket{}, err
	}
	defer conn.Close()
	s, err := blocking(conn)
	if err != nil {
		return s, err
	}
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	return s, unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
}

// accept returns the socket of the first client.
func accept(network, addr string) (socket, error) {
	if network != "udp" {
		l, err := net.Listen(network, addr)
		if err != nil {
			return socket{}, err
		}
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return socket{}, err
		}
		defer conn.Close()
		return blocking(conn)
	}
	conn, err := net.ListenPacket(network, addr)
	if err != nil {
		return socket{}, err
	}
	defer func() { _ = conn.Close() }() // blocking makes a copy, which stays open
	s, err := blocking(conn)
	if err != nil {
		return s, err
	}
	_, from, err := unix.Recvfrom(s.fd, make([]byte, 1), unix.MSG_PEEK)
	if err != nil {
		return s, err
	}
	return s, unix.Connect(s.fd, from)
}

// blocking returns a copy of the connection's socket that blocks in its calls. Go's own sockets would add the work of
// its scheduler to each call.
func blocking(conn any) (s socket, err error) {
	filer, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return s, fmt.Errorf("%T has no file", conn)
	}
	f, err := filer.File()
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.fd, err = unix.Dup(int(f.Fd())); err != nil {
		return s, err
	}
	return s, unix.SetNonblock(s.fd, false)
}
