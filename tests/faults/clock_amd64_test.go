package faults

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// There is no namespace for the wall clock. So these tests step the clock of one process. The vDSO (vdso(7)) is the
// kernel's code that reads the clock. A debugger may change a process's own copy.

// stepClock adds an offset to the wall clock that a node's podlaned reads. The clocks that cannot be set do not change.
func stepClock(t *testing.T, n *lab.Node, offset time.Duration) {
	t.Helper()
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", n.PID()), os.O_RDWR, 0)
	cluster.Check(t, err)
	defer memory.Close()
	base, err := vdsoOf(n.PID())
	cluster.Check(t, err)
	at, err := clockGettime(memory, base)
	cluster.Check(t, err)
	cluster.Until(t, soon, "no thread is in the clock function", func() (bool, string) {
		cluster.Check(t, n.Pause())
		if err := outside(n.PID(), at, at+uint64(len(clockCode(0)))); err != nil {
			cluster.Check(t, n.Resume())
			return false, err.Error()
		}
		return true, ""
	})
	_, err = memory.WriteAt(clockCode(offset), int64(at))
	cluster.Check(t, errors.Join(err, n.Resume()))
}

// clockCode returns code for clock_gettime(2) by the system call. It adds an offset of whole seconds to CLOCK_REALTIME,
// which is number 0.
func clockCode(offset time.Duration) []byte {
	code := []byte{
		0xb8, 228, 0, 0, 0, // mov $228, %eax
		0x0f, 0x05, // syscall
		0x85, 0xff, // test %edi, %edi
		0x75, 7, // jne to the end
		0x48, 0x81, 0x06, // addq $offset, (%rsi)
	}
	code = binary.LittleEndian.AppendUint32(code, uint32(int32(offset/time.Second)))
	return append(code, 0xc3) // ret
}

// vdsoOf returns the address of a process's vDSO, from its auxiliary vector (getauxval(3)).
func vdsoOf(pid int) (uint64, error) {
	const sysinfoEHDR = 33
	vector, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) == sysinfoEHDR {
			return binary.LittleEndian.Uint64(vector[8:]), nil
		}
	}
	return 0, fmt.Errorf("process %d has no vDSO: %w", pid, err)
}

// clockGettime returns the address of the function in the vDSO at base.
func clockGettime(memory *os.File, base uint64) (uint64, error) {
	file, err := elf.NewFile(io.NewSectionReader(memory, int64(base), 1<<20)) // the file itself contains its length
	if err != nil {
		return 0, fmt.Errorf("read the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return base + s.Value, nil
		}
	}
	return 0, fmt.Errorf("the vDSO has no clock_gettime: %w", err)
}

// outside returns an error unless all threads of a process are stopped outside a range of addresses.
func outside(pid int, from, to uint64) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		return err
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		words := strings.Fields(string(text))
		var pc uint64
		if _, err := fmt.Sscanf(words[len(words)-1], "0x%x", &pc); err != nil {
			return fmt.Errorf("%s: %q: %w", path, text, err)
		}
		if pc >= from && pc < to {
			return fmt.Errorf("%s: it is in the function", path)
		}
	}
	return nil
}

const day = 24 * time.Hour

// Two wall clocks are stepped at the same time, one forward and one back.
var clockFaults = []fault{
	{"clocks are stepped by a day, and back", func(t *testing.T, b *bed) {
		b.expectNoImpact(t, func() {
			offsets, stepped := []time.Duration{day, -day}, time.Now()
			for i, offset := range offsets {
				stepClock(t, b.Nodes[i], offset)
				expectTimes(t, b.Nodes[i], offset)
			}
			for i, offset := range offsets {
				n := b.Nodes[i]
				cluster.Until(t, 45*second, n.Name+" has an answer of etcd", func() (bool, string) {
					seen := metricTime(t, n, "podlane_etcd_last_seen_timestamp_seconds")
					return seen.After(stepped.Add(offset + second)), seen.String()
				})
				expectTimes(t, n, offset)
				stepClock(t, n, 0)
				expectTimes(t, n, 0)
			}
		})
	}},
	{"podlaned starts while etcd is down, and what it saved is by a clock that was a day off", func(t *testing.T, b *bed) {
		traffic := b.flood(t)
		offsets := []time.Duration{day, -day}
		b.startWithoutEtcd(t, b.Nodes[:2])
		for i, offset := range offsets {
			stepClock(t, b.Nodes[i], offset)
		}
		cluster.Check(t, b.Etcd.Start(cluster.Within(t), 1, 2, 3))
		for i, offset := range offsets {
			n := b.Nodes[i]
			cluster.Until(t, minute, n.Name+" renews its lease and saves its expiry", func() (bool, string) {
				left := time.Until(savedExpiry(t, n))
				return left > day+offset-time.Hour && left < day+offset+time.Hour, left.String()
			})
		}
		b.startWithoutEtcd(t, b.Nodes[:2])
		for i := range offsets {
			expectTimes(t, b.Nodes[i], 0)
		}
		cluster.Check(t, b.Etcd.Start(cluster.Within(t), 1, 2, 3))
		for _, n := range b.Nodes {
			cluster.AwaitStatus(t, n, minute, "ready", func(s cluster.Status) bool { return s.Ready })
		}
		b.expectRecovered(t)
		traffic.ExpectNothingLost(t)
	}},
}

// startWithoutEtcd stops etcd, and starts podlaned on nodes again, with the machine's clock.
func (b *bed) startWithoutEtcd(t *testing.T, nodes []*lab.Node) {
	t.Helper()
	for i := range b.Etcd.Endpoints() {
		cluster.Check(t, b.Etcd.Stop(i+1))
	}
	for _, n := range nodes {
		cluster.Kill(t, n)
		cluster.Check(t, n.Launch(cluster.Within(t)))
	}
	for _, n := range nodes {
		took := cluster.AwaitStatus(t, n, 5*second, "works with its saved state", func(s cluster.Status) bool {
			return !s.Verified.IsZero() && len(s.Peers) == len(b.Nodes)-1
		})
		t.Logf("%s works %s after its start, without etcd", n.Name, took)
	}
}

// savedExpiry returns the end of a node's lease in its saved state, by the wall clock.
func savedExpiry(t *testing.T, n *lab.Node) time.Time {
	t.Helper()
	saved, err := cluster.ReadSaved(n)
	cluster.Check(t, err)
	return saved.Until.Wall
}

func TestClock(t *testing.T) { runFaults(t, clockFaults) }

// expectTimes expects that podlaned reports times by its own clock. Its lease must still last for a day.
func expectTimes(t *testing.T, n *lab.Node, offset time.Duration) {
	t.Helper()
	s, err := cluster.StatusOf(cluster.Within(t), n)
	cluster.Check(t, err)
	now := time.Now().Add(offset)
	if age := now.Sub(s.Verified); age < -second || age > minute {
		t.Errorf("%s, whose clock is %v off: verified %v ago, want -1s to 1m", n.Name, offset, age)
	}
	for _, expiry := range []time.Time{s.Lease.Expiry, metricTime(t, n, "podlane_lease_expiry_timestamp_seconds")} {
		if left := expiry.Sub(now); left < day-time.Hour || left > day+second {
			t.Errorf("%s, whose clock is %v off: the lease lasts %v, want a day", n.Name, offset, left)
		}
	}
}
