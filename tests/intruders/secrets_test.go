package intruders

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// The right password and a wrong one: neither is ever shown.
const (
	password = "correct-horse-battery"
	mistyped = "correct-house-battery"
)

// etcd wants a user and a password. What podlaned prints, serves, writes and is seen with has none of them.
func TestPasswordIsNeverShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	l := cluster.Build(t, lab.Options{Nodes: 2, NodeEnv: func(int) []string {
		return []string{"PODLANE_ETCD_USERNAME=root", "PODLANE_ETCD_PASSWORD_FILE=" + file, "PODLANE_LOG_LEVEL=debug"}
	}})
	writePassword(t, file, password)
	requirePassword(t, l.Etcd)
	cluster.Check(t, l.StartAll(cluster.Within(t)))
	cluster.Check(t, l.AddPods(cluster.Within(t), 1))
	cluster.AwaitPeers(t, l, soon, 1)
	n := l.Nodes[0]
	expectHidden(t, n, cluster.Run(t, n.Place, "podlaned config get"))

	cluster.Stop(t, n)
	writePassword(t, file, mistyped)
	cluster.Check(t, n.Launch(t.Context()))
	cluster.AwaitStatus(t, n, soon, "it says that etcd refuses the password", func(s cluster.Status) bool {
		return strings.Contains(fmt.Sprint(s.Problems), "authentication failed")
	})
	expectHidden(t, n, cluster.RunFails(t, n.Place, "podlaned config get"))
}

func writePassword(t *testing.T, file, text string) {
	t.Helper()
	cluster.Check(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
}

// requirePassword makes etcd refuse whoever is not root. The lab's own client is refused from then on.
func requirePassword(t *testing.T, e *lab.Etcd) {
	t.Helper()
	ctx := cluster.Within(t)
	_, err := e.Client.UserAdd(ctx, "root", password)
	cluster.Check(t, err)
	_, err = e.Client.UserGrantRole(ctx, "root", "root")
	cluster.Check(t, err)
	_, err = e.Client.AuthEnable(ctx)
	cluster.Check(t, err)
}

// expectHidden looks through all that podlaned shows: its log, its answers, its files, and what the kernel shows of it.
func expectHidden(t *testing.T, n *lab.Node, printed string) {
	t.Helper()
	status, _ := n.Run(cluster.Within(t), "podlaned", "status") // not ready, with the wrong password
	whole, _ := n.Run(cluster.Within(t), "podlaned", "status", "--json")
	shown := map[string]string{"config get": printed, "log": n.LogText(), "status": status, "status --json": whole}
	for _, path := range []string{"/metrics", "/status", "/readyz?verbose", "/healthz"} {
		_, shown[path] = cluster.Get(t, n, path)
	}
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", n.PID(), name))
		cluster.Check(t, err)
		shown["/proc/PID/"+name] = string(text)
	}
	for _, folder := range []string{filepath.Dir(n.NodeFile()), n.StateDir()} {
		cluster.Check(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var text []byte
				text, err = os.ReadFile(path)
				shown[path] = string(text)
			}
			return err
		}))
	}
	for where, text := range shown {
		if len(text) == 0 {
			t.Errorf("%s: %s shows nothing", n.Name, where)
		}
		for _, secret := range []string{password, mistyped} {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("root:" + secret))} {
				if strings.Contains(text, form) {
					t.Errorf("%s: %s shows %q", n.Name, where, form)
				}
			}
		}
	}
}

// A password in an endpoint's URL would be in the status and the log, so it is refused; and not repeated.
func TestPasswordInAnEndpointIsRefused(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	cluster.Check(t, l.SetConfig(cluster.Within(t), dualStack))
	for _, endpoint := range []string{
		"http://root:" + password + "@198.18.0.1:2379", "https://root:" + password + "@198.18.0.1:2379",
		"root:" + password + "@198.18.0.1:2379", "http://" + password + "@198.18.0.1:2379", "http://root:" + password + "%zz@198.18.0.1:2379",
	} {
		out := cluster.RunFails(t, l.Nodes[0].Place, "podlaned run --http= --etcd-endpoints="+endpoint)
		t.Log(strings.TrimSpace(out))
		if strings.Contains(out, password) {
			t.Errorf("%s: it repeats the password", endpoint)
		}
		if !strings.Contains(out, "etcd-password-file") {
			t.Errorf("%s: it does not say where the password belongs", endpoint)
		}
	}
}
