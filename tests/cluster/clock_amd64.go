package cluster

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// There is no namespace for the wall clock. So tests step the clock of one process. The vDSO (vdso(7)) is the
// kernel's code that reads the clock. A debugger may change a process's own copy.

// StepClock adds an offset to the wall clock that a process reads. 0 ends that. The clocks that cannot be set do not change.
func StepClock(t *testing.T, pid int, offset time.Duration) {
	t.Helper()
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	Check(t, err)
	defer memory.Close()
	base, err := vdsoOf(pid)
	Check(t, err)
	at, err := clockGettime(memory, base)
	Check(t, err)
	Until(t, 20*time.Second, "no thread is in the clock function", func() (bool, string) {
		Check(t, syscall.Kill(pid, syscall.SIGSTOP))
		if err := outside(pid, at, at+uint64(len(clockCode(0)))); err != nil {
			Check(t, syscall.Kill(pid, syscall.SIGCONT))
			return false, err.Error()
		}
		return true, ""
	})
	_, err = memory.WriteAt(clockCode(offset), int64(at))
	Check(t, errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)))
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
