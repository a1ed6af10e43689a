package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	goversion "go/version"
	"os"
	"path/filepath"

	"golang.org/x/mod/semver"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

const (
	defaultFrom = "/opt/podlane/cni" // where the image has the CNI plugins
	defaultTo   = "/opt/cni/bin"     // where containerd and CRI-O look for them
)

// runInstall copies the CNI plugins to where the container runtime looks for them: each by rename, for the runtime may
// start one at any moment, and none over a newer one.
func runInstall(_ context.Context, c config, rest []string, io streams) error {
	if err := noMore(rest); err != nil {
		return err
	}
	if info, err := os.Stat(c.to); err != nil || !info.IsDir() {
		return fmt.Errorf("install the CNI plugins: no folder %s; --to names the one in which the container runtime looks for them", c.to)
	}
	entries, err := os.ReadDir(c.from)
	if err != nil {
		return fmt.Errorf("install the CNI plugins: %w", err)
	}
	n := 0
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		done, err := install(filepath.Join(c.from, e.Name()), filepath.Join(c.to, e.Name()))
		if err != nil {
			return fmt.Errorf("install the CNI plugins: %w", err)
		}
		fmt.Fprintln(io.out, done)
		n++
	}
	if n == 0 {
		return fmt.Errorf("install the CNI plugins: %s is empty", c.from)
	}
	return nil
}

// install puts one program in another's place, unless that is to stay, and says which.
func install(from, to string) (done string, err error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err == nil && info.Mode().IsRegular() { // an empty folder gives way too, and a pipe would never end
		have, err := os.ReadFile(to)
		if err != nil {
			return "", err
		}
		if bytes.Equal(have, data) && info.Mode().Perm() == 0o755 {
			return to + " is the same", nil
		}
		if why := keep(have, data); why != "" {
			return fmt.Sprintf("%s stays: %s", to, why), nil
		}
	}
	return to + " is written", unowned(filepath.Dir(to), subnet.WriteFile(to, data, 0o755))
}

// unowned adds to an error that a folder may not be written to that it is another user's, where it is: root without the
// capability CAP_DAC_OVERRIDE, as in our pods, may do there no more than anybody. In root's own it is a security module.
func unowned(dir string, err error) error {
	var info unix.Stat_t
	if !errors.Is(err, os.ErrPermission) || unix.Stat(dir, &info) != nil || info.Uid == 0 {
		return confined(err)
	}
	return fmt.Errorf("%w; the folder belongs to user %d: give it to root (chown root) on the node", err, info.Uid)
}

// keep tells why the program that is there is to stay, if it is. What is not written in Go, or is no program at all, was
// broken halfway by somebody's plain copy, or is older than the build information (Go 1.13): it gives way. A script is
// somebody's own work and stays.
func keep(have, ours []byte) string {
	if bytes.HasPrefix(have, []byte("#!")) {
		return "it is a script; remove it to have it replaced"
	}
	a, err := buildinfo.Read(bytes.NewReader(have))
	if err != nil {
		return ""
	}
	b, err := buildinfo.Read(bytes.NewReader(ours))
	if err != nil {
		return ""
	}
	return prefer(a, b)
}

// prefer tells why the program a is to stay where b could take its place, if it is.
func prefer(a, b *buildinfo.BuildInfo) string {
	switch {
	case a.Path != b.Path:
		return fmt.Sprintf("it is another program, %s; remove it to have it replaced", a.Path)
	case newer(a, b):
		return fmt.Sprintf("it is newer (%s %s) than ours (%s %s)", release(a), a.GoVersion, release(b), b.GoVersion)
	}
	return ""
}

// newer tells whether a is a newer build than b of the same program. Where the release is not told, or is the same, the
// toolchain decides: it is told always, and a later one does not build an earlier release.
func newer(a, b *buildinfo.BuildInfo) bool {
	if x, y := release(a), release(b); semver.IsValid(x) && semver.IsValid(y) && semver.Compare(x, y) != 0 {
		return semver.Compare(x, y) > 0
	}
	return goversion.Compare(a.GoVersion, b.GoVersion) > 0
}

// release is the version of a program's module. A distribution's build and that of a tree without version control have
// none.
func release(b *buildinfo.BuildInfo) string { return cmp.Or(b.Main.Version, "(devel)") }
