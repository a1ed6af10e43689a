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
	defaultFrom = "/opt/podlane/cni" // the CNI plugins of the image
	defaultTo   = "/opt/cni/bin"     // containerd and CRI-O look for them there
)

// runInstall copies the CNI plugins to the folder in which the container runtime looks for them. It writes each by rename,
// because the runtime may start one at any time. It does not replace a newer plugin.
func runInstall(_ context.Context, c config, rest []string, io streams) error {
	if err := noMore(rest); err != nil {
		return err
	}
	if info, err := os.Stat(c.to); err != nil || !info.IsDir() {
		return fmt.Errorf("install the CNI plugins: no folder %s; give --to the folder in which the container runtime looks for them", c.to)
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

// install copies a program over another, unless keepReason returns a reason to keep that. It returns what it did, for people.
func install(from, to string) (done string, err error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err == nil && info.Mode().IsRegular() { // an empty folder is replaced too; reading a pipe would not end
		have, err := os.ReadFile(to)
		if err != nil {
			return "", err
		}
		if bytes.Equal(have, data) && info.Mode().Perm() == 0o755 {
			return to + " is up to date", nil
		}
		if why := keepReason(have, data); why != "" {
			return fmt.Sprintf("%s is kept: %s", to, why), nil
		}
	}
	return to + " is written", unowned(filepath.Dir(to), subnet.WriteFile(to, data, 0o755))
}

// unowned adds the owner of a folder to an error "not permitted", unless root owns it. Root without CAP_DAC_OVERRIDE, as in our
// pods, may not write there. In root's own folder a security module denies it: see confined.
func unowned(dir string, err error) error {
	var info unix.Stat_t
	if !errors.Is(err, os.ErrPermission) || unix.Stat(dir, &info) != nil || info.Uid == 0 {
		return confined(err)
	}
	return fmt.Errorf("%w; the folder belongs to user %d: give it to root (chown root) on the node", err, info.Uid)
}

// keepReason returns why an existing program is kept, or nothing. A script is kept: it is the operator's own. A file
// without Go's build information is replaced:
//   - a program in another language,
//   - an incomplete copy,
//   - a program older than Go 1.13.
func keepReason(have, ours []byte) string {
	if bytes.HasPrefix(have, []byte("#!")) {
		return "it is a script; remove it to replace it"
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

// prefer returns why program a is kept instead of b, or nothing.
func prefer(a, b *buildinfo.BuildInfo) string {
	switch {
	case a.Path != b.Path:
		return fmt.Sprintf("it is another program, %s; remove it to replace it", a.Path)
	case newer(a, b):
		return fmt.Sprintf("it is newer (%s %s) than ours (%s %s)", release(a), a.GoVersion, release(b), b.GoVersion)
	}
	return ""
}

// newer reports whether a is a newer build of the same program than b. If a release is unknown, or both are the same, the
// version of Go decides. It is always known, and a later Go does not build an earlier release.
func newer(a, b *buildinfo.BuildInfo) bool {
	if x, y := release(a), release(b); semver.IsValid(x) && semver.IsValid(y) && semver.Compare(x, y) != 0 {
		return semver.Compare(x, y) > 0
	}
	return goversion.Compare(a.GoVersion, b.GoVersion) > 0
}

// release returns the version of a program's module. A build by a distribution, or from a tree without version control, has
// none.
func release(b *buildinfo.BuildInfo) string { return cmp.Or(b.Main.Version, "(devel)") }
