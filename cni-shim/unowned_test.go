package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab/sandbox"
)

// writeReservations writes files to host-local's folder.
func (n *node) writeReservations(files map[string]string) {
	n.t.Helper()
	dir := filepath.Join(n.dataDir, n.list.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
}

// crashReservations holds the files after a crash: reservations without a container, one with a container, and others.
var crashReservations = map[string]string{
	"10.5.34.7": "", "fd00:5:0:22::7": "", "10.5.34.9": "\x00\x00\x00\x00", "10.5.34.10": "\r\n", "10.5.34.11": " \t\n\x00",
	"10.5.34.8": "pod-c\r\neth0", "last_reserved_ip.0": "", "last_reserved_ip.1": "", "notes": "",
}

func TestReservationsWithoutAnOwnerAreFreedByGC(t *testing.T) {
	n := newNode(t, "1.1.0", dualNode, nil)
	a := sandbox.Test(t, "pod-a")
	n.add(n.pod(a))
	n.writeReservations(crashReservations)
	n.restart()
	if err := n.gc(n.pod(a)); err != nil {
		t.Error(err)
	}
	n.wantReserved("10.5.34.2", "fd00:5:0:22::2")
	for _, name := range []string{"last_reserved_ip.0", "last_reserved_ip.1", "notes", "lock"} {
		if _, err := os.Stat(filepath.Join(n.dataDir, n.list.Name, name)); err != nil {
			t.Error("a file that is no reservation:", err)
		}
	}
}

// A crash left the files of all addresses empty.
func TestReservationsWithoutAnOwnerAreFreedByADD(t *testing.T) {
	n := newNode(t, "1.0.0", dualNode, nil)
	files := map[string]string{}
	for i := range 256 {
		files[fmt.Sprintf("10.5.34.%d", i)] = ""
	}
	n.writeReservations(files)
	n.writeReservations(crashReservations)
	n.add(n.pod(sandbox.Test(t, "pod-a")))
	n.wantReserved("10.5.34.2", "10.5.34.8", "fd00:5:0:22::2") // 10.5.34.8 is pod-c's
}

// ADD frees reservations only in host-local's folder of this network, not in those of other plugins and networks.
func TestADDFreesReservationsOnlyInTheFolderOfHostLocal(t *testing.T) {
	for name, c := range map[string]struct {
		conf string
		want bool // 10.5.34.7 of DIR/n remains
	}{
		"host-local":          {`{"name":"n","ipam":{"dataDir":"DIR"}}`, false},
		"by the user":         {`{"name":"n","delegate":{"ipam":{"type":"host-local","dataDir":"DIR"}}}`, false},
		"another IPAM":        {`{"name":"n","ipam":{"type":"dhcp","dataDir":"DIR"}}`, true},
		"another network":     {`{"name":"m","ipam":{"dataDir":"DIR"}}`, true},
		"another folder":      {`{"name":"n","ipam":{"dataDir":"DIR/x"}}`, true},
		"no name of a folder": {`{"name":"n","ipam":{"dataDir":7}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "n", "10.5.34.7")
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			parsed, err := parse([]byte(strings.ReplaceAll(c.conf, "DIR", dir)))
			if err != nil {
				t.Fatal(err)
			}
			task{config: parsed}.freeEmpty()
			if _, err := os.Stat(file); (err == nil) != c.want {
				t.Errorf("the reservation remains: %v, want %v", err == nil, c.want)
			}
		})
	}
}

// If host-local has the lock, it may be about to write the file.
func TestADDWaitsForAnAddressThatIsBeingAllocated(t *testing.T) {
	n := newNode(t, "1.0.0", ipv4Node, nil)
	n.writeReservations(map[string]string{"10.5.34.7": "", "lock": ""})
	dir := filepath.Join(n.dataDir, n.list.Name)
	lock, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	pod := sandbox.Test(t, "pod-a")
	go func() {
		_, err := n.tryAdd(n.pod(pod))
		done <- err
	}()
	waitForLockWaiter(t, lock)
	n.wantReserved("10.5.34.7")
	n.writeReservations(map[string]string{"10.5.34.7": "pod-b\r\neth0"})
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	n.wantReserved("10.5.34.2", "10.5.34.7")
}

// waitForLockWaiter waits until a process waits for the lock of a file (proc_locks(5)).
func waitForLockWaiter(t *testing.T, file *os.File) {
	t.Helper()
	var info unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &info); err != nil {
		t.Fatal(err)
	}
	waiter := regexp.MustCompile(fmt.Sprintf(`(?m)-> FLOCK .*:%d `, info.Ino))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(10 * time.Second)
	for {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		if waiter.Match(locks) {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("no process waits for the lock:\n%s", locks)
		}
	}
}

// BenchmarkHasEmpty measures the cost for an ADD on a node with 250 pods.
func BenchmarkHasEmpty(b *testing.B) {
	dir := b.TempDir()
	for i := range 250 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("10.5.34.%d", i)), []byte("c1\r\neth0"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if hasEmpty(dir) {
			b.Fatal("none is empty")
		}
	}
}
