// Package input tests bad input as an operator gives it. It runs the built binaries. They must print a clear message,
// exit with a code other than 0, and lose nothing. Bad data of another node is skipped and counted.
package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/tests/cluster"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// Exit codes of podlaned.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// waitLimit bounds every wait.
const waitLimit = 30 * time.Second

func bin(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.CheckTools(folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// build makes a lab with an empty etcd. It starts no daemon.
func build(t *testing.T, nodes int) *lab.Lab {
	t.Helper()
	return cluster.Build(t, lab.Options{Nodes: nodes})
}

// buildConfigured makes a lab with the default network configuration in etcd, and starts the first nodes.
func buildConfigured(t *testing.T, nodes, started int) *lab.Lab {
	t.Helper()
	l := build(t, nodes)
	if err := l.SetConfig(t.Context(), lab.DefaultConfig); err != nil {
		t.Fatal(err)
	}
	for _, n := range l.Nodes[:started] {
		if err := n.Launch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range l.Nodes[:started] {
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// outcome is the result of a command.
type outcome struct {
	code int
	out  string // standard output
	err  string // standard error
}

// run runs podlaned on a node until it exits. env is added to the node's environment.
func run(t *testing.T, n *lab.Node, env []string, args ...string) outcome {
	t.Helper()
	return runAs(t, n, env, nil, "podlaned", args...)
}

// runAs runs a command on a node, with another user's rights if as is set.
func runAs(t *testing.T, n *lab.Node, env []string, as *syscall.Credential, name string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	cmd := n.Command(ctx, name, args...)
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	return runToEnd(t, n, cmd)
}

// runToEnd runs a command on a node until it exits.
func runToEnd(t *testing.T, n *lab.Node, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := n.StartCommand(cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("%v: %v: %s%s", cmd.Args, err, &out, &stderr)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

// expectError expects an exit code, and a last line of standard error that contains each part of want. "..." separates
// the parts.
func (o outcome) expectError(t *testing.T, code int, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(o.err), "\n")
	sentence := lines[len(lines)-1]
	t.Log(sentence) // with -v, to read the errors as an operator does
	if o.code != code || !strings.HasPrefix(sentence, "podlaned: ") || !containsParts(sentence, want) {
		t.Errorf("exit code %d, want %d and %q; standard error:\n%s", o.code, code, want, o.err)
	}
}

// expect expects an exit code, and a standard error that contains each part of want.
func (o outcome) expect(t *testing.T, code int, want string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d; standard error:\n%s", o.code, code, o.err)
	}
	if !containsParts(o.err, want) {
		t.Errorf("want %q in standard error:\n%s", want, o.err)
	}
}

// containsParts reports whether a text contains the parts of want in their order. "..." separates the parts.
func containsParts(text, want string) bool {
	for part := range strings.SplitSeq(want, "...") {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// expectUntouched expects that podlaned has written nothing to the node's kernel. Below prefix in etcd there is only
// the network configuration. An empty prefix skips that check.
func expectUntouched(t *testing.T, l *lab.Lab, n *lab.Node, prefix string) {
	t.Helper()
	for _, c := range []struct{ what, command string }{
		{"device", "ip -o link show type vxlan"},
		{"IPv4 route", "ip -4 route show table all proto 112"},
		{"IPv6 route", "ip -6 route show table all proto 112"},
		{"nftables table", "nft list tables"},
	} {
		words := strings.Fields(c.command)
		out, err := n.Run(t.Context(), words[0], words[1:]...)
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s: want none: error %v, output: %s", c.what, err, out)
		}
	}
	if _, err := os.Stat(n.NodeFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("node file: got error %v, want that it does not exist", err)
	}
	if prefix == "" {
		return
	}
	keys, err := l.Etcd.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	delete(keys, prefix+"/config")
	if len(keys) > 0 {
		t.Errorf("keys in etcd: %q, want only the configuration", keys)
	}
}

// status is a node's status.
type status struct{ cluster.Status }

// await waits until a node's status meets a condition. It returns the status.
func await(t *testing.T, n *lab.Node, what string, wanted func(status) bool) (s status) {
	t.Helper()
	cluster.AwaitStatus(t, n, waitLimit, what, func(now cluster.Status) bool {
		s = status{now}
		return wanted(s)
	})
	return s
}

// hasProblem reports whether a problem contains the parts of want.
func (s status) hasProblem(want string) bool {
	return slices.ContainsFunc(s.Problems, func(p string) bool { return containsParts(p, want) })
}

// skipReason returns the reason why a key's lease is skipped, or nothing.
func (s status) skipReason(key string) string {
	for _, skipped := range s.Skipped {
		if skipped.Key == key {
			return skipped.Reason
		}
	}
	return ""
}

// writeFile writes a file to the test's folder and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pingPods attaches a pod to each node if there are none. Each pod must reach every other.
func pingPods(t *testing.T, l *lab.Lab) {
	t.Helper()
	if len(l.Pods()) == 0 {
		if err := l.AddPods(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range l.Pods() {
		for _, to := range l.Pods() {
			if from == to {
				continue
			}
			cluster.Until(t, waitLimit, fmt.Sprintf("pod %s reaches %s", from.Name, to.Name), func() (bool, string) {
				_, err := from.Ping(t.Context(), to.Addrs[0], 1)
				return err == nil, fmt.Sprint(err)
			})
		}
	}
}
