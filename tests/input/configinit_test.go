package input

import (
	"bufio"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
)

// A rollout passes a configuration to every node. It is written if etcd has none. Otherwise it changes nothing.
func TestConfigInitKeepsAnExistingConfiguration(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	const first, same, other = `{"Network":"10.5.0.0/16"}`, `{"SubnetLen":24,"network":"10.5.0.0/16"}`, `{"Network": "10.6.0.0/16"}`
	expectFirst := func() {
		t.Helper()
		if have, _, err := l.Etcd.Get(t.Context(), lab.DefaultPrefix+"/config"); have != first || err != nil {
			t.Errorf("configuration in etcd: %q, %v; want %q", have, err, first)
		}
	}
	initConfig := func(config string) outcome {
		t.Helper()
		o := run(t, n, nil, "config", "init", writeFile(t, "network.json", config))
		if o.code != exitOK {
			t.Errorf("config init: exit code %d, want 0: %s", o.code, o.err)
		}
		expectFirst()
		return o
	}
	const differs = "podlaned: warning: etcd has another network configuration, which stays in use: " + first + "; `podlaned config set FILE` changes it"

	run(t, n, nil, "config", "init", writeFile(t, "network.json", `{"Network": "10.5.0.0/29"}`)).expectError(t, exitError, "Network 10.5.0.0/29 is too small")
	if o := initConfig(first); o.out != "the network configuration is written\n" {
		t.Errorf("first config init: output %q, error %q", o.out, o.err)
	}
	if o := initConfig(same); o.out != "the network configuration is in etcd already\n" || o.err != "" {
		t.Errorf("config init with the same configuration: output %q, error %q", o.out, o.err)
	}
	if o := initConfig(other); !strings.Contains(o.err, differs) {
		t.Errorf("config init with another configuration: output %q, error %q", o.out, o.err)
	}

	// With a saved state, the command compares without etcd, which may be down when a node boots.
	if err := n.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	nowhere := []string{"PODLANE_ETCD_ENDPOINTS=http://198.18.255.254:2379"}
	for config, want := range map[string]string{same: "", other: differs} {
		if o := run(t, n, nowhere, "config", "init", writeFile(t, "network.json", config)); o.code != exitOK || !strings.Contains(o.err, want) || (want == "") != (o.err == "") {
			t.Errorf("without etcd, %s: exit code %d, output %q, error %q; want exit code 0, error %q", config, o.code, o.out, o.err, want)
		}
	}
}

// A whole cluster may start at the same moment, with etcd last.
func TestConfigInitWaitsForEtcd(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	if err := l.Etcd.Stop(1); err != nil {
		t.Fatal(err)
	}
	cmd := n.Command(t.Context(), "podlaned", "config", "init", writeFile(t, "network.json", lab.DefaultConfig))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.StartCommand(cmd); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if !containsParts(line, "podlaned: etcd does not answer at ...; waiting for it") {
		t.Errorf("first line %q, error %v; want that it waits for etcd", line, err)
	}
	if err := l.Etcd.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if have, _, err := l.Etcd.Get(t.Context(), lab.DefaultPrefix+"/config"); have != lab.DefaultConfig || err != nil {
		t.Errorf("configuration in etcd: %q, error %v; want %q", have, err, lab.DefaultConfig)
	}
}
