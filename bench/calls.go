package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// trace is the output file of strace(1). strace records the system calls that write and read netlink sockets; rtnl
// uses read(2).
type trace struct{ file string }

func newTrace() (trace, error) {
	f, err := os.CreateTemp("/run", "calls") // the sandbox's own
	if err != nil {
		return trace{}, err
	}
	return trace{f.Name()}, f.Close()
}

func (t trace) remove() { _ = os.Remove(t.file) } // a temporary file

// command returns the strace command with these additional options.
func (t trace) command(options ...string) []string {
	return append([]string{
		"strace", "-f", "-yy", "-e", "trace=sendto,sendmsg,sendmmsg,write,writev,recvfrom,recvmsg,recvmmsg,read,readv",
		"-e", "signal=none", "-s", "0", "-o", t.file,
	}, options...)
}

// calls returns the number of calls. strace must have ended.
func (t trace) calls() (int, error) {
	text, err := os.ReadFile(t.file)
	if err != nil {
		return 0, err
	}
	calls := countNetlink(string(text))
	if calls == 0 {
		return 0, errors.New("strace shows no call on a netlink socket")
	}
	return calls, nil
}

// netlinkCall matches the beginning of a call in the output of strace(1) -f -yy, version 6.1:
//
//	8552  read(7<NETLINK:[ROUTE:8547]>, ""..., 65536) = 52
//	8552  recvmsg(3<NETLINK:[NETFILTER:8552]>, <unfinished ...>
//	8552  <... recvmsg resumed>{msg_name=...}, 0) = 44
//
// If another thread calls meanwhile, a call has two lines. The first one counts.
var netlinkCall = regexp.MustCompile(`(?m)^\d+ +[a-z]+\(\d+<NETLINK:\[(ROUTE|NETFILTER):`)

func countNetlink(text string) int { return len(netlinkCall.FindAllString(text, -1)) }

// countCalls starts podlaned under strace. It returns the number of its system calls on netlink sockets and of its
// log lines.
func (w *world) countCalls(ctx context.Context, n *lab.Node) (calls, lines int, err error) {
	t, err := newTrace()
	if err != nil {
		return 0, 0, err
	}
	defer t.remove()
	d, err := w.startFresh(ctx, n, t.command("-I2", "--seccomp-bpf")...)
	if err != nil {
		return 0, 0, err
	}
	if err := d.stop(os.Interrupt); err != nil { // strace forwards it
		return 0, 0, err
	}
	calls, err = t.calls()
	return calls, strings.Count(d.log.String(), "\n"), err
}

// countRaw returns the number of system calls of send for all entries. strace attaches to this process for that.
func (b bare) countRaw(e entries) (calls int, err error) {
	t, err := newTrace()
	if err != nil {
		return 0, err
	}
	defer t.remove()
	err = b.withTunnel(func(index int) error {
		batch, err := edit{entries: e}.batch(index)
		if err != nil {
			return err
		}
		words := t.command("-p", strconv.Itoa(os.Getpid()))
		cmd := exec.Command(words[0], words[1:]...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if line, err := bufio.NewReader(stderr).ReadString('\n'); !strings.Contains(line, " attached") {
			_ = cmd.Process.Kill() // it may have ended
			return errors.Join(fmt.Errorf("strace does not attach: %q", line), err, cmd.Wait())
		}
		err = errors.Join(send(batch), cmd.Process.Signal(os.Interrupt))
		ended := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGINT { // it ended earlier
			err = errors.Join(err, fmt.Errorf("strace: %w", ended))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return t.calls()
}

// countTools returns the number of system calls of ip -batch and bridge -batch on netlink sockets, for all entries.
// It also returns the larger peak memory of the two, in bytes.
func (b bare) countTools(ctx context.Context, e entries) (calls int, peak float64, err error) {
	last := map[string]string{"ip": "link show dev lo\n", "bridge": fmt.Sprintf("fdb get %s dev %s self\n", e.FDB[0].Mac, device)}
	err = b.withTunnel(func(int) error {
		return edit{entries: e}.eachScript(func(tool, script string) error {
			c, p, err := b.countTool(ctx, tool, script+last[tool])
			calls, peak = calls+c, max(peak, p)
			return err
		})
	})
	return calls, peak, err
}

// countTool does this for one of them. Only the last command of the script prints something. When it does, all other
// commands are done, and the tool still runs because its input has not ended. stdbuf(1) makes it print at once, as it
// did by itself before iproute2 7.1.
func (b bare) countTool(ctx context.Context, tool, script string) (calls int, peak float64, err error) {
	t, err := newTrace()
	if err != nil {
		return 0, 0, err
	}
	defer t.remove()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	words := t.command("-D", "--seccomp-bpf", "stdbuf", "-oL", tool, "-batch", "-") // -D: the process is the tool
	cmd, stderr := exec.CommandContext(ctx, words[0], words[1:]...), &output{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := b.Start(cmd); err != nil {
		return 0, 0, err
	}
	_, err = in.Write([]byte(script))
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err == nil {
		peak, err = processMemory(cmd.Process.Pid, "VmHWM")
	}
	err = errors.Join(err, in.Close(), cmd.Wait()) // for strace too, which holds the tool's output
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", cmd, err, stderr)
	}
	calls, err = t.calls()
	return calls, peak, err
}
