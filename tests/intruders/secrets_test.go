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

// The correct password and a wrong one. podlaned must never show either.
const (
	password = "correct-horse-battery"
	mistyped = "correct-house-battery"
)

// etcd needs a user and a password. podlaned never prints, serves or writes them, and its process does not show them.
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
	expectNoPassword(t, n, cluster.Run(t, n.Place, "podlaned config get"))

	cluster.Stop(t, n)
	writePassword(t, file, mistyped)
	cluster.Check(t, n.Launch(t.Context()))
	cluster.AwaitStatus(t, n, soon, "the problem is the refused password", func(s cluster.Status) bool {
		return strings.Contains(fmt.Sprint(s.Problems), "authentication failed")
	})
	expectNoPassword(t, n, cluster.RunFails(t, n.Place, "podlaned config get"))
}

func writePassword(t *testing.T, file, text string) {
	t.Helper()
	cluster.Check(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
}

// requirePassword makes etcd refuse every user but root. From then on it refuses the lab's own client.
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

// expectNoPassword searches all that podlaned shows: its log, its answers, its files and its process.
func expectNoPassword(t *testing.T, n *lab.Node, printed string) {
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
			t.Errorf("%s: %s is empty", n.Name, where)
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

// A password in an endpoint's URL would be in the status and the log. So it is refused, and not repeated in the error.
func TestPasswordInAnEndpointIsRefused(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	cluster.Check(t, l.SetConfig(cluster.Within(t), cluster.DualStack))
	for _, endpoint := range []string{
		"http://root:" + password + "@198.18.0.1:2379", "https://root:" + password + "@198.18.0.1:2379",
		"root:" + password + "@198.18.0.1:2379", "http://" + password + "@198.18.0.1:2379", "http://root:" + password + "%zz@198.18.0.1:2379",
	} {
		out := cluster.RunFails(t, l.Nodes[0].Place, "podlaned run --http= --etcd-endpoints="+endpoint)
		t.Log(strings.TrimSpace(out))
		if strings.Contains(out, password) {
			t.Errorf("%s: the error repeats the password", endpoint)
		}
		if !strings.Contains(out, "etcd-password-file") {
			t.Errorf("%s: the error does not name the setting for a password", endpoint)
		}
	}
}
