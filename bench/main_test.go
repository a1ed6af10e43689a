package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// Every measurement runs with small numbers and returns rows. Whether a figure reaches its limit is for `make bench`.
func TestEveryMeasurementRuns(t *testing.T) {
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			section, err := s.run(t.Context(), bench{bin: bin, quick: true})
			if err != nil {
				t.Fatal(err)
			}
			text := section.Markdown()
			t.Log("\n" + text)
			if len(section.Rows) < 5 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
				t.Errorf("%d rows", len(section.Rows))
			}
		})
	}
}

// The lines are from strace 6.1. A call that another thread interrupts has two lines and counts once.
func TestNetlinkCallsAreCounted(t *testing.T) {
	trace := `58    sendto(12<NETLINK:[ROUTE:56]>, ..., 40, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12 <unfinished ...>
62    read(7<TCP:[198.18.0.1:40000->198.18.0.254:2379]>, ""..., 4096) = 17
58    <... sendto resumed>)             = 40
58    read(12<NETLINK:[ROUTE:3109823276]>, ""..., 65536) = 36
62    read(13<NETLINK:[ROUTE:-4100]>, 0xc000200000, 65536) = -1 EAGAIN (Resource temporarily unavailable)
62    recvmsg(13<NETLINK:[NETFILTER:56]>,  <unfinished ...>
58    write(5<UNIX-DGRAM:[23250->23251, "/run/NETLINK:[ROUTE:1]"]>, ""..., 9) = 9
62    <... recvmsg resumed>{msg_name={sa_family=AF_NETLINK, nl_pid=0}, msg_flags=0}, 0) = 20
58    sendmsg(14<NETLINK:[GENERIC:56]>, {msg_namelen=12}, 0) = 20
58    recvfrom(15<socket:[23250521]>, ..., 4096, 0, NULL, NULL) = 20
58    --- SIGURG {si_signo=SIGURG, si_code=SI_TKILL, si_pid=56, si_uid=0} ---
58    +++ exited with 0 +++
`
	if n := countNetlink(trace); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
	if n := countNetlink(""); n != 0 {
		t.Errorf("%d calls in no trace", n)
	}
}

func TestStatusField(t *testing.T) {
	const status = "Name:\tVmRSS:\nVmHWM:\t    2048 kB\nVmRSS:\t      20 kB\nThreads:\t7\n"
	for field, want := range map[string]float64{"VmHWM": 2 << 20, "VmRSS": 20 << 10} {
		if got, err := statusField(status, field); got != want || err != nil {
			t.Errorf("%s: %g, %v; want %g", field, got, err, want)
		}
	}
	if got, err := statusField(status, "Threads"); err == nil {
		t.Error("Threads are", got)
	}
}

// Notifications are read until podlaned is ended. Then the socket is gone.
func TestNoticesAreReadToTheEnd(t *testing.T) {
	told, err := listen(filepath.Join(t.TempDir(), "notify"))
	if err != nil {
		t.Fatal(err)
	}
	podlaned, err := net.Dial("unixgram", told.path)
	if err != nil {
		t.Fatal(err)
	}
	defer podlaned.Close()
	send := func(text string) {
		if _, err := podlaned.Write([]byte(text)); err != nil {
			t.Errorf("send %s: %v", text, err)
		}
	}
	send("STATUS=not READY=1")
	select {
	case <-told.ready:
		t.Error("ready before READY=1")
	default:
	}
	send("STATUS=ready\nREADY=1\nWATCHDOG=1")
	if err := told.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // an unread socket holds about ten
		send("READY=1")
	}
	if err := told.close(); err != nil {
		t.Error(err)
	}
	if _, err := podlaned.Write([]byte("STATUS=x")); err == nil {
		t.Error("the socket is still read")
	}
	if _, err := os.Stat(told.path); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// The clock of a process includes the work of its ended threads.
func TestUsedCPUTimeOfAProcess(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cmd: &exec.Cmd{Process: self}}
	before, err := d.used()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the thread ends with the goroutine
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		}
	}()
	<-ended
	after, err := d.used()
	if worked := after - before; err != nil || worked <= 0 || worked > time.Minute {
		t.Errorf("CPU time %v, %v", worked, err)
	}
	if _, err := (&daemon{cmd: &exec.Cmd{Process: &os.Process{Pid: 1 << 22}}}).used(); err == nil {
		t.Error("a missing process has CPU time")
	}
}

// A millisecond of work is visible, which is less than a tick of any kernel.
func TestCPUTimeOfAThreadIsExact(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := onThread(func() error {
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
		return nil
	})
	if err != nil || c.cpu <= 0 || c.cpu > c.took+10*time.Millisecond {
		t.Errorf("took %v, CPU time %v, %v", c.took, c.cpu, err)
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := checkTools("/nowhere", "/else")
	for _, name := range []string{"strace", "iperf3", "taskset", "iptables-nft-restore", "/nowhere/_empty", "/nowhere/_turns", "/else/podlaned", "make bench"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no %s in %v", name, err)
		}
	}
}

// A finished result stays when a later measurement fails.
func TestFinishedResultIsKept(t *testing.T) {
	all, dir := scenarios, t.TempDir()
	t.Cleanup(func() { scenarios = all })
	failing := errors.New("no")
	scenarios = scenarios[:0:0]
	scenarios = append(scenarios, all[0], all[1])
	scenarios[0].run = func(context.Context, bench) (Section, error) { return Section{Title: "Done"}, nil }
	scenarios[1].run = func(context.Context, bench) (Section, error) { return Section{}, failing }
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	b := bench{bin: bin, keep: filepath.Join(dir, "profiles")}
	if err := measure(t.Context(), b, known(), dir); !errors.Is(err, failing) {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	if !strings.Contains(string(text), "## Done") {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := os.Stat(b.keep); err != nil {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	b, only, out, err := parse([]string{"--quick", "--only", "join,idle", "--out", "/x", "--bin", "/y", "--beside", "/z"})
	if err != nil {
		t.Fatal(err)
	}
	if want := (bench{bin: "/y", quick: true, beside: "/z"}); b != want {
		t.Errorf("options %+v, want %+v", b, want)
	}
	if out != "/x" {
		t.Errorf("--out is %s", out)
	}
	if diff := cmp.Diff([]string{"join", "idle"}, only); diff != "" {
		t.Errorf("--only (-want +got):\n%s", diff)
	}
	if _, only, _, err := parse(nil); err != nil || len(only) != len(scenarios) {
		t.Errorf("without --only: %v, %v", only, err)
	}
	if _, _, _, err := parse([]string{"--only", "start,nothing"}); err == nil {
		t.Error("an unknown measurement is accepted")
	}
}
