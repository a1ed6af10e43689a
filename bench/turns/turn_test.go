package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain makes this test program a server of its own: a blocked server would block Go's scheduler.
func TestMain(m *testing.M) {
	if args := os.Getenv("TURNS"); args != "" {
		if err := run(strings.Fields(args), 0, 1); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every message is received and every burst answered, over both protocols.
func TestServerAnswersEachBurst(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		for _, burst := range []int{1, 7} {
			r := askServer(t, network, burst)
			if r.Turns == 0 || r.Sent != r.Turns*burst || r.Received != r.Sent {
				t.Errorf("%s, bursts of %d: %+v", network, burst, r)
			}
			if r.Seconds < 0.02 || r.P50 <= 0 || r.P99 < r.P50 || r.P50*float64(r.Turns) > 2*r.Seconds {
				t.Errorf("%s, bursts of %d: %+v", network, burst, r)
			}
		}
	}
}

// askServer starts a server, asks it for 20 ms and ends it.
func askServer(t *testing.T, network string, burst int) (r result) {
	t.Helper()
	addr := freePort(t, network)
	server := exec.CommandContext(t.Context(), os.Args[0])
	server.Env = append(os.Environ(), "TURNS=serve "+network+" "+addr)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill() // over TCP it has ended
		_ = server.Wait()
	}()
	for began := time.Now(); ; { // until the server listens
		s, err := connect(network, addr)
		if err == nil {
			r, err = s.ask(20*time.Millisecond, burst)
			closeSocket(t, s)
		}
		switch {
		case err == nil:
			return r
		case !errors.Is(err, unix.ECONNREFUSED) || time.Since(began) > 20*time.Second:
			t.Fatalf("%s: %v", network, err)
		}
	}
}

// pairOf returns two connected sockets that keep messages, like UDP.
func pairOf(t *testing.T) (a, b socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(time.Millisecond.Nanoseconds())
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return socket{fds[0]}, socket{fds[1]}
}

func closeSocket(t *testing.T, s socket) {
	t.Helper()
	if err := unix.Close(s.fd); err != nil {
		t.Error(err)
	}
}

// An answer that is late belongs to a turn that was lost. It does not end the next turn.
func TestLateAnswerIsNotTheNextOne(t *testing.T) {
	client, server := pairOf(t)
	defer closeSocket(t, client)
	late := make([]byte, size)
	late[7], late[15] = 4, 1 // to message 4
	for number := byte(4); number < 6; number++ {
		late[7] = number
		if err := server.send(late); err != nil {
			t.Fatal(err)
		}
	}
	if received, err := client.turn(5, 1); err != nil || received != 2 {
		t.Errorf("%d messages received, %v; want 2, both answers", received, err)
	}
	closeSocket(t, server)
	if _, err := client.turn(6, 1); err == nil {
		t.Error("a turn without a server has no error")
	}
}

// A lost answer is not a turn. Without any answer there is no result.
func TestNoAnswerIsAnError(t *testing.T) {
	client, server := pairOf(t)
	defer closeSocket(t, client)
	defer closeSocket(t, server)
	if _, err := client.turn(1, 1); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a turn without an answer: %v", err)
	}
	if r, err := client.ask(5*time.Millisecond, 1); err == nil {
		t.Errorf("no answer, but %+v", r)
	}
}

// freePort returns a loopback address on which nothing listens.
func freePort(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestQuantileOfTurns(t *testing.T) {
	turns := []time.Duration{1, 2, 3, 4, 5}
	for q, want := range map[float64]time.Duration{0: 1, 0.2: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(turns, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"ask", "tcp"}, {"listen", "tcp", "127.0.0.1:1"}, {"ask", "unix", "127.0.0.1:1"}} {
		if err := run(args, time.Second, 1); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if err := run([]string{"ask", "tcp", "127.0.0.1:1"}, time.Second, 0); err == nil {
		t.Error("a burst of no message is accepted")
	}
}
