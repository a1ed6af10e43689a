package main

import (
	"debug/buildinfo"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestNewerProgramIsKept(t *testing.T) {
	build := func(path, release, toolchain string) *buildinfo.BuildInfo {
		b := &buildinfo.BuildInfo{Path: path, GoVersion: toolchain}
		b.Main.Version = release
		return b
	}
	ours := build("bridge", "v1.4.0", "go1.26.8")
	for _, c := range []struct {
		name string
		have *buildinfo.BuildInfo
		want string
	}{
		{"older release", build("bridge", "v1.3.9", "go1.26.8"), ""},
		{"older release by a newer toolchain", build("bridge", "v1.3.9", "go1.30"), ""},
		{"release candidate", build("bridge", "v1.4.0-rc.1", "go1.26.8"), ""},
		{"same release", build("bridge", "v1.4.0", "go1.26.8"), ""},
		{"same release by an older toolchain", build("bridge", "v1.4.0", "go1.9"), ""},
		{"same release by a newer toolchain", build("bridge", "v1.4.0", "go1.26.10"), "it is newer (v1.4.0 go1.26.10) than ours (v1.4.0 go1.26.8)"},
		{"newer release", build("bridge", "v1.10.0", "go1.26.8"), "it is newer (v1.10.0 go1.26.8) than ours (v1.4.0 go1.26.8)"},
		{"newer release by an older toolchain", build("bridge", "v1.4.1", "go1.20"), "it is newer (v1.4.1 go1.20) than ours (v1.4.0 go1.26.8)"},
		{"a commit after the release", build("bridge", "v1.4.1-0.20260102030405-0123456789ab", "go1.26.8"), "it is newer (v1.4.1-0.20260102030405-0123456789ab go1.26.8) than ours (v1.4.0 go1.26.8)"},
		{"build of a distribution", build("bridge", "", "go1.19.8"), ""},
		{"build from a tree, by a newer toolchain", build("bridge", "(devel)", "go1.27.0"), "it is newer ((devel) go1.27.0) than ours (v1.4.0 go1.26.8)"},
		{"another program", build("k3s/cni", "v1.0.0", "go1.20"), "it is another program, k3s/cni; remove it to replace it"},
	} {
		if got := prefer(c.have, ours); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// program returns a Go program: this test.
func program(t *testing.T) []byte {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return content(t, self)
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fill(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// runInstallCommand runs the command like an operator.
func runInstallCommand(t *testing.T, from, to string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = command(t.Context(), []string{"install", "--from", from, "--to", to}, streams{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

func TestInstall(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	ours := program(t)
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	other := content(t, tool)
	script := []byte("#!/bin/sh\nexec bridge.real\n")
	fill(t, from, map[string][]byte{"absent": ours, "broken": ours, "empty": ours, "other": ours, "same": ours, "script": ours})
	fill(t, to, map[string][]byte{"broken": ours[:len(ours)/2], "empty": nil, "other": other, "same": ours, "script": script, "unknown": script})
	if err := os.Chmod(filepath.Join(to, "same"), 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(to, "same"))
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := runInstallCommand(t, from, to)
	want := []string{"absent is written", "broken is written", "empty is written", "other is kept: it is another program, cmd/go; remove it to replace it", "same is up to date", "script is kept: it is a script; remove it to replace it"}
	if code != exitOK || errs != "" {
		t.Errorf("exit code %d, errors %q; want success", code, errs)
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(strings.ReplaceAll(out, to+"/", "")), "\n")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	for name, data := range map[string][]byte{"absent": ours, "broken": ours, "empty": ours, "other": other, "same": ours, "script": script, "unknown": script} {
		if string(content(t, filepath.Join(to, name))) != string(data) {
			t.Errorf("%s has the wrong content", name)
		}
	}
	for _, name := range []string{"absent", "broken", "empty", "same"} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
		if name == "same" && !os.SameFile(info, before) {
			t.Error("the identical file was written again")
		}
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) != 7 {
		t.Errorf("%d files, %v; want 7, without a temporary one", len(entries), err)
	}
}

// The runtime may run a plugin at the moment it is replaced.
func TestInstallUnderARunningProgram(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, from, map[string][]byte{"bridge": program(t)})
	fill(t, to, map[string][]byte{"bridge": content(t, sleep)})
	if err := os.Chmod(filepath.Join(to, "bridge"), 0o755); err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), filepath.Join(to, "bridge"), "60")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runInstallCommand(t, from, to)
	if code != exitOK || !strings.HasSuffix(out, "bridge is written\n") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if err := running.Process.Kill(); err != nil {
		t.Errorf("the old program had ended: %v", err)
	}
	_ = running.Wait() // it was killed
}

func TestInstallErrors(t *testing.T) {
	from, to, empty := t.TempDir(), t.TempDir(), t.TempDir()
	fill(t, from, map[string][]byte{"bridge": program(t)})
	fill(t, to, map[string][]byte{"file": nil})
	for _, c := range []struct{ name, from, to, want string }{
		{"no folder", from, to + "/none", "podlaned: install the CNI plugins: no folder " + to + "/none; give --to the folder in which the container runtime looks for them\n"},
		{"a file", from, to + "/file", "podlaned: install the CNI plugins: no folder " + to + "/file; give --to the folder in which the container runtime looks for them\n"},
		{"nothing to copy", empty, to, "podlaned: install the CNI plugins: " + empty + " is empty\n"},
		{"nowhere to copy from", empty + "/none", to, "podlaned: install the CNI plugins: open " + empty + "/none: no such file or directory\n"},
	} {
		if code, _, errs := runInstallCommand(t, c.from, c.to); code != exitError || errs != c.want {
			t.Errorf("%s: exit code %d and %q, want %d and %q", c.name, code, errs, exitError, c.want)
		}
	}
}

// Container runtimes create an empty folder to mount a file on. Reading a pipe would not end.
func TestInstallReplacesFoldersAndPipes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	ours := program(t)
	fill(t, from, map[string][]byte{"bridge": ours, "portmap": ours})
	if err := errors.Join(os.Mkdir(filepath.Join(to, "bridge"), 0o755), unix.Mkfifo(filepath.Join(to, "portmap"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := runInstallCommand(t, from, to); code != exitOK || strings.Count(out, " is written\n") != 2 {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}
