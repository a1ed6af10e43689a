package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

// Place is a network namespace for commands: a node, a pod, or the outside.
type Place struct {
	Name string
	ns   sandbox.Namespace
	bin  string
	env  []string // added to this process's own
}

// makePlace makes the namespace and writes its environment to a file, for Attach.
func makePlace(name, bin string, env []string) (*Place, error) {
	p := &Place{Name: name, bin: bin}
	p.env = append([]string{
		"TMPDIR=" + filepath.Join(dir, "tmp"),
		"PATH=" + bin + ":" + os.Getenv("PATH"),
	}, env...)
	if err := os.MkdirAll(p.dir(), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(envFile(name), []byte(strings.Join(p.env, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	if err := p.makeNamespace(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Place) makeNamespace() (err error) {
	if p.ns, err = sandbox.New(p.Name); err != nil {
		return err
	}
	if err := p.Do(func() error { return sysctl(quiet) }); err != nil {
		return errors.Join(err, p.ns.Delete())
	}
	return nil
}

// remove removes the place and its files. The namespace lasts as long as a process runs in it.
func (p *Place) remove() error { return errors.Join(p.ns.Delete(), os.RemoveAll(p.dir())) }

// dir returns the folder of the place's files.
func (p *Place) dir() string { return filepath.Join(dir, p.Name) }

func envFile(place string) string { return filepath.Join(dir, place, "env") }

// Env returns the environment of commands in the place. It lacks the variables of the lab and of the tests themselves, which
// podlaned would report as unknown settings.
func (p *Place) Env() []string {
	outside := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return slices.ContainsFunc([]string{"PODLANE_LAB_", "PODLANE_TEST_", "PODLANE_CRI_"}, func(own string) bool { return strings.HasPrefix(e, own) })
	})
	return append(outside, p.env...)
}

// Do runs f on a thread inside the place's network namespace. Sockets that f opens are in it; goroutines that f
// starts are not.
func (p *Place) Do(f func() error) error { return p.ns.Do(f) }

// Path returns the file of the place's network namespace.
func (p *Place) Path() string { return p.ns.Path() }

// Command returns a command with the place's environment. It is killed when ctx ends. A bare name is searched first
// in the lab's folder of binaries. The command is in the place only if StartCommand starts it.
func (p *Place) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if built := filepath.Join(p.bin, name); !strings.Contains(name, "/") && executable(built) {
		name = built
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = p.Env()
	cmd.WaitDelay = 2 * time.Second // for children of a killed command that hold its output open
	return cmd
}

// StartCommand starts cmd in the place. The caller waits for it.
func (p *Place) StartCommand(cmd *exec.Cmd) error { return p.ns.Start(cmd) }

// Run runs a command in the place until it ends, and returns its output and its errors. The error names the place and
// the command.
func (p *Place) Run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := p.output(p.Command(ctx, name, args...))
	if err != nil {
		said := strings.TrimSpace(out)
		if said != "" {
			said = ": " + said
		}
		return out, fmt.Errorf("in %s: %s: %w%s", p.Name, strings.Join(append([]string{name}, args...), " "), err, said)
	}
	return out, nil
}

func (p *Place) output(cmd *exec.Cmd) (string, error) {
	var out []byte
	err := p.ns.Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	return string(out), err
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// ErrNoPlace means that a lab has no such place.
var ErrNoPlace = errors.New("no such node or pod")

// Attach starts a command in a place of a running lab, from outside. pid is the first process of the lab's sandbox.
// The command has the place's environment and this process's standard streams. args[0] is searched in the place's
// PATH. The caller waits for the command.
func Attach(pid int, place string, args []string) (*exec.Cmd, error) {
	root := sandbox.Root(pid)
	if place == "" || strings.Contains(place, "/") {
		return nil, fmt.Errorf("%q: %w", place, ErrNoPlace)
	}
	text, err := os.ReadFile(filepath.Join(root, envFile(place)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; there are: %s", place, ErrNoPlace, strings.Join(places(root), " "))
	}
	env := strings.Split(strings.TrimSpace(string(text)), "\n")
	path, err := lookPath(args[0], env)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: args, Env: append(os.Environ(), env...)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if cmd.Dir, err = os.Getwd(); err != nil {
		cmd.Dir = "/"
	}
	return cmd, sandbox.Start(pid, place, cmd)
}

// places returns the names of a lab's places from its file tree.
func places(root string) []string {
	files, err := filepath.Glob(filepath.Join(root, envFile("*")))
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	slices.SortFunc(names, natural)
	return names
}

// natural orders n2 before n10.
func natural(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// lookPath finds a command in the PATH of an environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range env {
		list, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, d := range filepath.SplitList(list) {
			if path := filepath.Join(d, name); executable(path) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
