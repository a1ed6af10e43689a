package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	gocmp "github.com/google/go-cmp/cmp"
)

// systemdSocket makes a socket as systemd does for a service. receive returns the lines of the next message to it.
func systemdSocket(t *testing.T) (receive func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() []string {
		b := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(b[:n]), "\n")
	}
}

func TestMessagesToSystemd(t *testing.T) {
	receive := systemdSocket(t)
	t.Setenv("WATCHDOG_USEC", "1500000") // three messages are due in this time
	l, _ := newTestLoop(t)
	l.publish()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.notify(ctx) }()

	expect := func(when string, want ...string) {
		t.Helper()
		if diff := gocmp.Diff(want, receive()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("at the start", "STATUS=not ready: lease: none yet", "WATCHDOG=1")
	l.receive(stateWithPeers(t, l, 2, 3))
	l.kernel.verified, l.files.written = time.Now(), true
	published := time.Now()
	l.publish()
	expect("when it is ready", "STATUS=ready: pod subnet 10.5.34.0/24, 2 peers", "READY=1")
	if late := time.Since(published); late > 250*time.Millisecond {
		t.Errorf("the start is announced %v late", late)
	}
	l.publish()
	expect("without a change", "WATCHDOG=1")
	l.board.mu.Lock()
	l.board.beatAt = time.Now().Add(-stuck - time.Second)
	l.board.mu.Unlock()
	for i := range 3 { // this takes longer than the time between two keep-alives
		l.problems.Set("http", fmt.Sprintf("address in use, %d\nand more", i))
		l.publish()
		expect("with a problem, while the loop is stuck", fmt.Sprintf("STATUS=ready, with problems: http: address in use, %d", i))
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Units that wait for the start must not begin at the end of a reload.
func TestReloadBeforeTheStart(t *testing.T) {
	receive := systemdSocket(t)
	l, _ := newTestLoop(t)
	l.config.again = func() (config, error) { return config{}, errors.New("unknown key") }
	signals, done := make(chan os.Signal), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- l.awaitReload(ctx, signals) }()
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP // it is received after the first reload
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := systemd.SdNotify(false, "END"); err != nil {
		t.Fatal(err)
	}
	if first := receive(); first[0] != "END" {
		t.Errorf("before the start systemd receives %q", first)
	}
}

func TestSystemdDidNotStartPodlaned(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	l, _ := newTestLoop(t)
	if err := l.notify(t.Context()); err != nil {
		t.Error(err)
	}
}
