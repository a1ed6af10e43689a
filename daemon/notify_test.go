package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
)

// systemdSocket is a socket as systemd gives it to a service, and what comes to it.
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

func TestSystemdIsToldHowTheDaemonIs(t *testing.T) {
	receive := systemdSocket(t)
	t.Setenv("WATCHDOG_USEC", "1500000") // it wants to hear three times in this
	l, _ := newTestLoop(t)
	l.publish()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.notify(ctx) }()

	if got := receive(); !slices.Equal(got, []string{"STATUS=not ready: lease: none yet", "WATCHDOG=1"}) {
		t.Errorf("at the start: %q", got)
	}
	l.receive(stateWithPeers(t, l, 2, 3))
	l.kernel.verified, l.files.written = time.Now(), true
	published := time.Now()
	l.publish()
	if got := receive(); !slices.Equal(got, []string{"STATUS=ready: pod subnet 10.5.34.0/24, 2 peers", "READY=1"}) {
		t.Errorf("when it is ready: %q", got)
	}
	if late := time.Since(published); late > 250*time.Millisecond {
		t.Errorf("those who wait for the start waited for another %v", late)
	}
	l.publish()
	if got := receive(); !slices.Equal(got, []string{"WATCHDOG=1"}) {
		t.Errorf("nothing is new: %q", got)
	}
	l.board.mu.Lock()
	l.board.beatAt = time.Now().Add(-stuck - time.Second)
	l.board.mu.Unlock()
	for i := range 3 { // which takes longer than the time between two words to the watchdog
		l.troubles.set("http", fmt.Sprintf("somebody else has it, %d\nand more", i))
		l.publish()
		if got := receive(); !slices.Equal(got, []string{fmt.Sprintf("STATUS=ready, with problems: http: somebody else has it, %d", i)}) {
			t.Errorf("in trouble, and the loop hangs: %q", got)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What waits for the node file must not take the end of a reload for it.
func TestReloadBeforeTheStartIsNoStart(t *testing.T) {
	receive := systemdSocket(t)
	l, _ := newTestLoop(t)
	l.config.again = func() (config, error) { return config{}, errors.New("unknown key") }
	signals, done := make(chan os.Signal), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- l.awaitReload(ctx, signals) }()
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP // the first is over
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := systemd.SdNotify(false, "END"); err != nil {
		t.Fatal(err)
	}
	if first := receive(); first[0] != "END" {
		t.Errorf("before the start systemd hears %q", first)
	}
}

func TestNobodyToNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	l, _ := newTestLoop(t)
	if err := l.notify(t.Context()); err != nil {
		t.Error(err)
	}
}
