package input

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

func TestBadSettings(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	file := func(text string) []string { return []string{"--config", writeFile(t, "podlaned.yaml", text)} }
	for _, c := range []struct {
		name string
		env  string
		args []string
		want string
	}{
		{"unknown flag", "", []string{"--ifaces=eth0"}, "flag provided but not defined: -ifaces"},
		{"flag without its value", "", []string{"--iface"}, "flag needs an argument: -iface"},
		{"unknown command", "", []string{"start"}, "unknown command \"start\"; `podlaned --help` lists them"},
		{"stray argument", "", []string{"run", "eth0"}, `unexpected argument "eth0"`},
		{"stray argument of status", "", []string{"status", "n2"}, `unexpected argument "n2"`},
		{"stray argument of cleanup", "", []string{"cleanup", "all"}, `unexpected argument "all"`},
		{"flag of another command", "", []string{"run", "--json"}, "flag provided but not defined: -json"},
		{"variable", "PODLANE_IP_MASQ=perhaps", nil, "environment PODLANE_IP_MASQ=perhaps"},
		{"variable that is no duration", "PODLANE_LEASE_TTL=1day", nil, "environment PODLANE_LEASE_TTL=1day...want a duration such as 30s or 24h"},
		{"variable out of range", "PODLANE_LEASE_TTL=10s", nil, "lease-ttl 10s is shorter than 1m"},
		{"unknown key", "", file("# how\nlog-level: info\netcd-endpoint: http://198.18.0.1:2379\n"), `podlaned.yaml line 3: unknown key "etcd-endpoint"; do you mean "etcd-endpoints"?`},
		{"bad value", "", file("log-level: info\n\nresync: often\n"), `podlaned.yaml line 3: resync: "often"...want a duration such as 30s or 24h`},
		{"key twice", "", file("iface: eth0\niface: eth1\n"), "podlaned.yaml: line 2: iface is set twice"},
		{"no YAML", "", file("iface: [eth0\n"), "podlaned.yaml: yaml: line"},
		{"no settings", "", file("eth0\n"), "podlaned.yaml: line 1: want lines like `key: value`"},
		{"tab", "", file("iface: eth0\n\tlog-level: info\n"), "podlaned.yaml: yaml: line"},
		{"no such file", "", []string{"--config", "/run/none.yaml"}, "read the configuration file: open /run/none.yaml: no such file"},
		{"file is a folder", "", []string{"--config", "/run"}, "read the configuration file...is a directory"},
		{"log level", "", []string{"--log-level=loud"}, `log-level "loud" is none of debug, info, warning and error`},
		{"log format", "", []string{"--log-format=xml"}, `log-format "xml" is not text or json`},
		{"http without a port", "", []string{"--http=127.0.0.1"}, `http "127.0.0.1" is not an address with a port such as 127.0.0.1:9472`},
		{"http on a name", "", []string{"--http=podlane.example:9472"}, `http "podlane.example:9472" is not an address with a port`},
		{"prefix", "", []string{"--etcd-prefix=podlane"}, `etcd-prefix "podlane" is not a path like /podlane/network`},
		{"certificate without a key", "", []string{"--etcd-certfile=/run/a.pem"}, "give etcd-certfile and etcd-keyfile, or neither"},
		{"user without a password", "", []string{"--etcd-username=podlane"}, "etcd-username needs etcd-password-file"},
		{"name that would break a terminal", "", []string{"--node-name=n1\x1b[2J"}, `node name "n1\x1b[2J" is not at most 255 printable bytes`},
		{"public address of class E", "", []string{"--public-ip=240.0.0.1"}, "public-ip 240.0.0.1 cannot be the address of a node"},
		{"public address of this network", "PODLANE_PUBLIC_IP=0.1.2.3", nil, "public-ip 0.1.2.3 cannot be the address of a node"},
		{"two ways to choose", "", []string{"--iface=eth0", "--iface-regex=eth"}, "give only one of iface, iface-regex and iface-can-reach"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, n, []string{c.env}, c.args...).expectError(t, exitUsage, c.want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

// The error is found when a setting is used, not when it is read. The exit code is 1.
func TestUnusableSettings(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	ca := writeFile(t, "ca.pem", "no certificate")
	const secure = "--etcd-endpoints=https://198.18.0.1:2379"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"endpoint that is no URL", []string{"--etcd-endpoints=198.18.0.1:2379"}, `endpoint "198.18.0.1:2379" is not a URL like http://127.0.0.1:2379`},
		{"endpoint without a host", []string{"--etcd-endpoints=http://"}, `endpoint "http://" is not a URL`},
		{"endpoint of another kind", []string{"--etcd-endpoints=ftp://198.18.0.1"}, `endpoint "ftp://198.18.0.1" begins with neither http:// nor https://`},
		{"endpoints mixed", []string{"--etcd-endpoints=http://198.18.0.1:2379,https://198.18.0.2:2379"}, "one with TLS, one without"},
		{"no endpoint", []string{"--etcd-endpoints="}, "no endpoint given"},
		{"no password file", []string{"--etcd-username=podlane", "--etcd-password-file=/run/none"}, "etcd: read password: open /run/none: no such file"},
		{"empty password", []string{"--etcd-username=podlane", "--etcd-password-file=/dev/null"}, "password file /dev/null is empty"},
		{"no CA file", []string{secure, "--etcd-cafile=/run/none.pem"}, "etcd: read CA: open /run/none.pem: no such file"},
		{"CA that is none", []string{secure, "--etcd-cafile=" + ca}, "ca.pem holds no certificate in PEM form"},
		{"no certificate file", []string{secure, "--etcd-certfile=/run/none.pem", "--etcd-keyfile=/run/none.key"}, "certificate /run/none.pem with key /run/none.key: open /run/none.pem: no such file"},
		{"endpoint with a password", []string{"--etcd-endpoints=http://root:secret@198.18.0.1:2379"}, "endpoint …@198.18.0.1:2379: a user and password do not belong in it"},
		{"TLS files without TLS", []string{"--etcd-cafile=" + ca}, "endpoint http://...is without TLS, but TLS files are given: want https://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, n, nil, c.args...).expectError(t, exitError, c.want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

func TestMachineWithoutAnID(t *testing.T) {
	l := buildConfigured(t, 1, 0)
	n := l.Nodes[0]
	if _, err := os.Stat("/etc/machine-id"); errors.Is(err, os.ErrNotExist) { // many container images have none
		run(t, n, []string{"PODLANE_NODE_ID="}).expectError(t, exitError, "this machine has no id: open /etc/machine-id: no such file...or give --node-id")
		return
	}
	for _, c := range []struct{ name, id, want string }{
		{"empty", "", "/etc/machine-id is empty"},
		{"of an image's first boot", "uninitialized\n", `/etc/machine-id holds "uninitialized", not 32 hexadecimal digits`},
		{"cut in half", "3d1219c7c4c5404a", `/etc/machine-id holds "3d1219c7c4c5404a"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The mount is in the sandbox. The machine's own file does not change.
			if err := unix.Mount(writeFile(t, "machine-id", c.id), "/etc/machine-id", "", unix.MS_BIND, ""); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := unix.Unmount("/etc/machine-id", unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}()
			run(t, n, []string{"PODLANE_NODE_ID="}).expectError(t, exitError, "this machine has no id: "+c.want+"...systemd-machine-id-setup, or give --node-id")
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
}

func TestFoldersAreNotWritable(t *testing.T) {
	l := buildConfigured(t, 2, 0)
	n := l.Nodes[0]
	readOnly := filepath.Join(t.TempDir(), "read-only")
	if err := os.Mkdir(readOnly, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", readOnly, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(readOnly, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	file := writeFile(t, "file", "")
	for _, c := range []struct{ name, folder, want string }{
		{"read-only", readOnly, "read-only file system"},
		{"below a read-only one", readOnly + "/run", "make the run folder: mkdir ...: read-only file system"},
		{"a file", file, "make the run folder: mkdir ...: not a directory"},
	} {
		t.Run("run folder "+c.name, func(t *testing.T) {
			run(t, n, nil, "--run-dir", c.folder).expectError(t, exitError, c.want)
			expectUntouched(t, l, n, lab.DefaultPrefix)
		})
	}
	// A state folder or CNI configuration that cannot be written leaves the pods' network as it is.
	for _, other := range l.Nodes[1:] {
		if err := other.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Launch(t.Context(), "--state-dir", readOnly, "--cni-conf", readOnly+"/10-podlane.conflist"); err != nil {
		t.Fatal(err)
	}
	s := await(t, n, "both problems are reported", func(s status) bool {
		return s.hasProblem("saved state: write "+readOnly+"/state.json: ...read-only file system") &&
			s.hasProblem("cni-conf: write "+readOnly+"/10-podlane.conflist: ...read-only file system")
	})
	if len(s.Problems) != 2 {
		t.Errorf("problems %q, want these two", s.Problems)
	}
	if len(s.Peers) != 1 {
		t.Errorf("peers %v, want one", s.Peers)
	}
	pingPods(t, l)
}

func TestSecondDaemonOnANode(t *testing.T) {
	l := buildConfigured(t, 1, 1)
	n := l.Nodes[0]
	run(t, n, nil).expectError(t, exitError, "another podlaned runs on this node: its process is ")
	run(t, n, nil, "cleanup").expectError(t, exitError, "another podlaned runs on this node: its process is ...; stop it first")
	if s := await(t, n, "the first one is ready", func(s status) bool { return s.Ready }); len(s.Lease.Subnet) != 1 {
		t.Errorf("lease of the first podlaned: %+v, want one pod subnet", s.Lease)
	}
}
