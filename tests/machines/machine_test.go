package machines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

const (
	// rootFiles is made by root.sh. No machine writes to it.
	rootFiles = "../../bin/_machine"
	// soon is the limit for steps without a promised time.
	soon = 30 * time.Second
	// path is the PATH of commands in a machine.
	path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
)

// machine is a node of a lab as a machine. systemd is its first process, and its disk survives a boot.
type machine struct {
	*lab.Node
	disk   string // its file tree, as seen from here
	cgroup *os.File
	log    *os.File
	nspawn *exec.Cmd
	ended  chan struct{} // closed when nspawn has exited
	first  int           // id of its first process, as seen from here; 0: none yet
}

// makeMachine makes the disk of a node's machine.
func makeMachine(t *testing.T, n *lab.Node) *machine {
	t.Helper()
	base := filepath.Join("/run/machines", n.Name)
	m := &machine{Node: n, disk: filepath.Join(base, "disk"), cgroup: makeCgroup(t, n.Name)}
	for _, folder := range []string{"disk", "written", "work"} {
		cluster.Check(t, os.MkdirAll(filepath.Join(base, folder), 0o755))
	}
	lower, err := filepath.Abs(rootFiles)
	cluster.Check(t, err)
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/written,workdir=%s/work", lower, base, base)
	if err := unix.Mount("disk", m.disk, "overlay", 0, layers); err != nil {
		t.Fatalf("mount the disk of %s: %v; is %s there? `make bin/_machine` makes it", n.Name, err, rootFiles)
	}
	t.Cleanup(func() {
		cluster.Check(t, errors.Join(unix.Unmount(m.disk, unix.MNT_DETACH), os.RemoveAll(base)))
	})
	m.write(t, "/etc/machine-id", fmt.Sprintf("%032x\n", n.Index))
	m.write(t, "/etc/hostname", n.Name+"\n")
	m.log, err = os.Create(filepath.Join(base, "console"))
	cluster.Check(t, err)
	t.Cleanup(func() {
		if t.Failed() && m.first != 0 {
			journal, _ := m.run(context.Background(), "journalctl", "--no-pager", "--lines=40", "--output=cat", "--unit=podlaned.service")
			t.Logf("the end of podlaned's journal on %s:\n%s", n.Name, journal)
		}
		m.kill()
		m.log.Close()
	})
	return m
}

// boot starts the machine and waits until systemd has started everything.
func (m *machine) boot(ctx context.Context) error {
	m.nspawn = exec.Command("systemd-nspawn", "--quiet", "--boot", "--directory="+m.disk, "--machine="+m.Name,
		"--register=no", "--keep-unit", "--network-namespace-path="+m.Path(), "--capability=CAP_NET_ADMIN",
		"--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off")
	m.nspawn.Stdout, m.nspawn.Stderr = m.log, m.log
	m.nspawn.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(m.cgroup.Fd())}
	if err := m.nspawn.Start(); err != nil {
		return fmt.Errorf("boot %s: %w", m.Name, err)
	}
	m.ended = make(chan struct{})
	go func() {
		defer close(m.ended)
		_ = m.nspawn.Wait() // its state has the exit code
	}()
	for {
		state := "no first process yet"
		if m.first = firstProcess(m.nspawn.Process.Pid); m.first != 0 {
			state, _ = m.run(ctx, "systemctl", "is-system-running", "--wait") // its output has the state
			if state = strings.TrimSpace(state); state == "running" || state == "degraded" {
				return nil
			}
		}
		select {
		case <-m.ended:
			return fmt.Errorf("boot %s: %s; its console:\n%s", m.Name, m.nspawn.ProcessState, m.console())
		case <-ctx.Done():
			return fmt.Errorf("boot %s: %w; state of systemd: %s; its console:\n%s", m.Name, ctx.Err(), state, m.console())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// firstProcess returns the id of nspawn's child that is a machine's first process. It is 0 if there is none yet.
func firstProcess(nspawn int) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	for _, child := range strings.Fields(string(children)) {
		name, _ := os.ReadFile(filepath.Join("/proc", child, "comm"))
		status, _ := os.ReadFile(filepath.Join("/proc", child, "status"))
		if string(name) == "systemd\n" && strings.Contains(string(status), "\t1\nNSpgid:") {
			pid, _ := strconv.Atoi(child) // the kernel wrote it
			return pid
		}
	}
	return 0
}

func (m *machine) console() string {
	text, err := os.ReadFile(m.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// kill cuts the power. All processes of a PID namespace end with the first, and then nspawn exits.
func (m *machine) kill() {
	if m.ended == nil {
		return
	}
	if m.first != 0 {
		_ = unix.Kill(m.first, unix.SIGKILL) // it may have ended already
	} else {
		_ = m.nspawn.Process.Kill()
	}
	<-m.ended
	m.first = 0
}

// reboot shuts the machine down and boots it. Its kernel state is gone.
func (m *machine) reboot(ctx context.Context) error {
	if _, err := m.run(ctx, "systemctl", "reboot"); err != nil {
		return err
	}
	select {
	case <-m.ended:
	case <-ctx.Done():
		return fmt.Errorf("shut down %s: %w; its console:\n%s", m.Name, ctx.Err(), m.console())
	}
	if err := m.Reboot(ctx); err != nil { // of the lab: the network namespace is a new one
		return err
	}
	return m.boot(ctx)
}

// command returns a command in the machine, outside every unit.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	inside := []string{"--target", strconv.Itoa(m.first), "--mount", "--uts", "--ipc", "--net", "--pid", "--", "env", "-i", path, "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}
	return exec.CommandContext(ctx, "nsenter", append(inside, args...)...)
}

// run runs a command in the machine and returns its output with its errors.
func (m *machine) run(ctx context.Context, args ...string) (string, error) {
	out, err := m.command(ctx, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("in machine %s: %s: %w: %s", m.Name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// sh runs a shell command in the machine, which must succeed.
func (m *machine) sh(t *testing.T, line string) string {
	t.Helper()
	out, err := m.run(cluster.Bounded(t, time.Minute), "sh", "-euc", line)
	cluster.Check(t, err)
	return strings.TrimSpace(out)
}

// write writes a file to the machine's disk.
func (m *machine) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(m.disk, name)
	cluster.Check(t, os.MkdirAll(filepath.Dir(file), 0o755))
	cluster.Check(t, os.WriteFile(file, []byte(text), 0o644))
}
