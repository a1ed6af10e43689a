package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// disk is a small tmpfs in one of podlaned's folders.
type disk string

// buildOnDisks makes the standard cluster. Each node's node file and saved state have small disks of their own.
func buildOnDisks(t *testing.T) *bed {
	t.Helper()
	l := cluster.Build(t, lab.Options{Nodes: 3, IPv6: true, Config: cluster.DualStack})
	for _, n := range l.Nodes {
		for _, d := range disksOf(n) {
			cluster.Check(t, os.MkdirAll(string(d), 0o755))
			cluster.Check(t, unix.Mount("none", string(d), "tmpfs", 0, "size=256k"))
			t.Cleanup(func() {
				if err := unix.Unmount(string(d), unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
		}
	}
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.Check(t, l.AddPods(cluster.Within(t), 2))
	cluster.AwaitPeers(t, l, soon, 2)
	return &bed{Lab: l}
}

func disksOf(n *lab.Node) []disk { return []disk{disk(filepath.Dir(n.NodeFile())), disk(n.StateDir())} }

func (d disk) ballast() string { return filepath.Join(string(d), "ballast") }

// fill fills the disk.
func (d disk) fill() error {
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// empty frees the disk's space.
func (d disk) empty() error { return os.Remove(d.ballast()) }

func (d disk) remount(flags uintptr) error {
	return unix.Mount("none", string(d), "", unix.MS_REMOUNT|flags, "")
}

// protect makes the disk read-only.
func (d disk) protect() error { return d.remount(unix.MS_RDONLY) }

// allow makes the disk writable again.
func (d disk) allow() error { return d.remount(0) }

// diskFault is what makes a disk fail, and the kernel's error.
type diskFault struct {
	words         string
	inject, clear func(disk) error
}

var (
	diskFull     = diskFault{"no space left on device", disk.fill, disk.empty}
	diskReadOnly = diskFault{"read-only file system", disk.protect, disk.allow}
)

// onDisks calls a function for each disk of a node.
func onDisks(t *testing.T, n *lab.Node, do func(disk) error) {
	t.Helper()
	for _, d := range disksOf(n) {
		cluster.Check(t, do(d))
	}
}

// diskLimit is the time for podlaned to write its files once the disk accepts them again.
const diskLimit = 2 * second

// Disks are full or read-only while podlaned runs. A new peer is programmed all the same. The problem is logged once,
// and ends when the disk has space.
func TestDisksFailWhilePodlanedRuns(t *testing.T) {
	b := buildOnDisks(t)
	traffic := b.flood(t)
	faults := map[*lab.Node]diskFault{b.Nodes[0]: diskFull, b.Nodes[1]: diskReadOnly}
	files := map[*lab.Node]string{}
	for n, f := range faults {
		text, err := os.ReadFile(n.NodeFile())
		cluster.Check(t, err)
		files[n] = string(text)
		cluster.Check(t, os.Remove(n.NodeFile()))
		onDisks(t, n, f.inject)
	}
	b.addExtraPeer(t)
	for n, f := range faults {
		expectDiskProblem(t, n, f)
	}
	for n := range faults {
		cluster.Run(t, n.Place, "ip route get 10.5.250.7 from "+cluster.OverlayAddr(t, b.Nodes[2], n.Addr).String()+" iif lo")
	}
	expectDiskRecovery(t, faults, files)
	b.removeExtraPeer(t)
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	traffic.ExpectNothingLost(t)
}

// expectDiskProblem waits until both files are reported, and for one more round. Each must be logged once.
func expectDiskProblem(t *testing.T, n *lab.Node, f diskFault) {
	t.Helper()
	cluster.AwaitStatus(t, n, soon, "the problems are reported", func(s cluster.Status) bool {
		return !s.Ready && hasProblem(s, "node file: ", f.words) && hasProblem(s, "saved state: ", f.words)
	})
	if ok, words := cluster.ReadyCheck(t, n, "node-file"); ok {
		t.Errorf("%s: readiness check node-file holds: %s", n.Name, words)
	}
	const verified = `podlane_passes_total{result="verified"}`
	passes := cluster.Metric(t, n, verified)
	cluster.Until(t, minute, n.Name+" verifies again", func() (bool, string) { return cluster.Metric(t, n, verified) >= passes+1, "" })
	for _, kind := range []string{"node file: ", "saved state: "} {
		if count := strings.Count(n.LogText(), `level=warning msg="`+kind); count != 1 {
			t.Errorf("%s logs %q %d times, want once:\n%s", n.Name, kind, count, n.LogText())
		}
	}
}

func hasProblem(s cluster.Status, kind, words string) bool {
	for _, p := range s.Problems {
		if strings.HasPrefix(p, kind) && strings.Contains(p, words) {
			return true
		}
	}
	return false
}

// expectDiskRecovery repairs the disks, and waits until all files are as before.
func expectDiskRecovery(t *testing.T, faults map[*lab.Node]diskFault, files map[*lab.Node]string) {
	t.Helper()
	for n, f := range faults {
		onDisks(t, n, f.clear)
	}
	for n := range faults {
		ready := cluster.AwaitStatus(t, n, diskLimit, "ready", func(s cluster.Status) bool { return s.Ready })
		saved := cluster.AwaitStatus(t, n, diskLimit, "no problems", func(s cluster.Status) bool { return len(s.Problems) == 0 })
		t.Logf("%s: ready after %v, state saved %v later", n.Name, ready, saved)
		text, err := os.ReadFile(n.NodeFile())
		cluster.Check(t, err)
		if diff := gocmp.Diff(files[n], string(text)); diff != "" {
			t.Errorf("%s: node file (-want +got):\n%s", n.Name, diff)
		}
		text, err = os.ReadFile(filepath.Join(n.StateDir(), "state.json"))
		cluster.Check(t, err)
		if !strings.Contains(string(text), extraPeerAddress) {
			t.Errorf("%s: the saved state has no peer %s: %s", n.Name, extraPeerAddress, text)
		}
		for _, d := range disksOf(n) {
			left, err := filepath.Glob(filepath.Join(string(d), ".*"))
			if err != nil || len(left) > 0 {
				t.Errorf("%s: temporary files are left: %v, error %v", n.Name, left, err)
			}
		}
	}
}

// podlaned starts on a full disk, and is ready once it has space. On a read-only disk it cannot serve its status. It
// exits with the reason at every start until the disk is writable.
func TestDisksFailBeforePodlanedStarts(t *testing.T) {
	b := buildOnDisks(t)
	traffic := b.flood(t)
	full, readOnly := b.Nodes[0], b.Nodes[1]
	for n, f := range map[*lab.Node]diskFault{full: diskFull, readOnly: diskReadOnly} {
		cluster.Stop(t, n)
		cluster.Check(t, os.Remove(n.NodeFile()))
		onDisks(t, n, f.inject)
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}
	cluster.AwaitStatus(t, full, soon, "works, and reports its disk", func(s cluster.Status) bool {
		return !s.Ready && len(s.Peers) == 2 && !s.Verified.IsZero() && hasProblem(s, "node file: ", diskFull.words)
	})
	for range 2 {
		cluster.ExpectExit(t, readOnly, 1, diskReadOnly.words)
		cluster.Check(t, readOnly.Launch(cluster.Within(t)))
	}
	_, err := readOnly.Wait(cluster.Within(t))
	cluster.Check(t, err)
	onDisks(t, full, disk.empty)
	onDisks(t, readOnly, disk.allow)
	cluster.Check(t, readOnly.Start(cluster.Within(t)))
	took := cluster.AwaitStatus(t, full, diskLimit, "ready", func(s cluster.Status) bool { return s.Ready && len(s.Problems) == 0 })
	t.Logf("ready %v after the disk has space", took)
	cluster.AwaitPeers(t, b.Lab, soon, 2)
	traffic.ExpectNothingLost(t)
}
