package flannel

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// process is a program that runs until stop, or until it ends by itself. Its output is in a file.
type process struct {
	cmd   *exec.Cmd
	name  string // for errors: flanneld on n3
	log   string // path of the file
	ended chan struct{}
}

// launch starts a command with a function, and appends its output to a file. The caller stops it.
func launch(t *testing.T, name, log string, cmd *exec.Cmd, start func(*exec.Cmd) error) *process {
	t.Helper()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	cluster.Check(t, err)
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cluster.Check(t, start(cmd))
	p := &process{cmd: cmd, name: name, log: log, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // its state has the result
	}()
	return p
}

// running reports whether the process runs. It is false for nil.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop ends the process by a signal and waits for its end. It does nothing for nil.
func (p *process) stop(t *testing.T, s syscall.Signal) {
	t.Helper()
	if p == nil {
		return
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	p.awaitEnd(t)
}

func (p *process) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(soon):
		t.Fatalf("%s still runs after %v:\n%s", p.name, soon, p.tail())
	}
}

// await waits until the process is in a state. It fails at once if the process has ended.
func (p *process) await(t *testing.T, limit time.Duration, what string, so func() (bool, string)) {
	t.Helper()
	cluster.Until(t, limit, p.name+": "+what, func() (bool, string) {
		if !p.running() {
			t.Fatalf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, p.tail())
		}
		return so()
	})
}

// tail returns the last lines of the output. Long ones are cut.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-40):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), 300)]
	}
	return strings.Join(lines, "\n")
}
