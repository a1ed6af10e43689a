package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a daemon that writes to a log file. done is closed as soon as it ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startProcess starts cmd with start and appends its output to the log file.
func startProcess(cmd *exec.Cmd, start func(*exec.Cmd) error, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := start(cmd); err != nil {
		return nil, err
	}
	r := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		_ = cmd.Wait() // its state has the result
	}()
	return r, nil
}

// running reports whether the process runs. It is false for a nil process.
func (r *process) running() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// signal sends s. It does nothing if the process has ended.
func (r *process) signal(s os.Signal) error {
	if !r.running() {
		return nil
	}
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// kill kills the process and waits for it.
func (r *process) kill() error {
	if r == nil {
		return nil
	}
	err := r.signal(syscall.SIGKILL)
	if err == nil {
		<-r.done
	}
	return err
}

// ended describes how the process ended.
func (r *process) ended() string { return r.cmd.ProcessState.String() }

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// indent puts two spaces before each line.
func indent(text string) string {
	return fmt.Sprint("  ", strings.ReplaceAll(text, "\n", "\n  "))
}
