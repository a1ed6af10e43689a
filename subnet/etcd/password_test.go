package etcd

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The user's password is changed in etcd and in the file, in each order and with each way to replace a file.
func TestPasswordIsReplaced(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	withUsers(t, etcd)
	root, err := newClient(etcd.url, "root", "r")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // it reports the end of its own context
	// A folder like that of a Kubernetes Secret: the file is a link to a link that is replaced.
	dir := t.TempDir()
	path := filepath.Join(dir, "password")
	secret := func(name, password string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name, "password"), password)
		if err := os.Symlink(name, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	secret("1", "secret")
	if err := os.Symlink(filepath.Join("..data", "password"), path); err != nil {
		t.Fatal(err)
	}
	n := run(t, openStore(t, Config{Endpoints: []string{etcd.url}, Username: "podlane", PasswordFile: path}), quick(1))
	n.held(t)
	change := func(password string) {
		t.Helper()
		if _, err := root.UserChangePassword(t.Context(), "podlane", password); err != nil {
			t.Fatal(err)
		}
	}
	// again makes etcd delete the tokens, as when they expire.
	again := func() {
		t.Helper()
		dir := etcd.dir
		etcd.stop()
		n.wait(t, "error", func(s State) bool { return s.Err != nil })
		etcd.start(dir)
	}
	heldSoon := func(what string) {
		t.Helper()
		start := time.Now()
		n.held(t)
		took := time.Since(start)
		t.Logf("%s: the lease is held after %v", what, took)
		if took > 10*time.Second {
			t.Error("that is too long")
		}
	}

	change("second")
	n.wait(t, "denial", func(s State) bool { return s.Err != nil })
	secret("2", "second\n")
	heldSoon("etcd first")

	secret("3", "third")
	again()
	heldSoon("file first: the password before is still good")
	change("third")
	again()
	heldSoon("file first, then etcd")

	writeFile(t, path, "")
	n.wait(t, "fault", func(s State) bool {
		return held(s) && len(s.Files) == 1 && s.Files[0] == "password file "+path+" is empty; the content that was read before stays in use until the file is correct"
	})
	again()
	heldSoon("empty for a moment")
	writeFile(t, path, "third\n")
	n.wait(t, "recovery", func(s State) bool { return held(s) && len(s.Files) == 0 })
}
