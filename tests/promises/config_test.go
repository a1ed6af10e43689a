package promises

import (
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

func TestNetworkConfigurationIsSetAndRead(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	n := l.Nodes[0]
	if output := cluster.RunFails(t, n.Place, "podlaned config get"); !strings.Contains(output, "there is no network configuration in etcd") {
		t.Errorf("config get without a configuration: %s", output)
	}
	cluster.Check(t, n.Launch(cluster.Within(t)))
	cluster.ExpectExit(t, n, 1, "podlaned config set")
	const good = `{"Network": "10.5.0.0/16", "SubnetLen": 25, "Backend": {"Type": "vxlan", "VNI": 9}}`
	cluster.Check(t, l.SetConfig(cluster.Within(t), good))
	get := func() string { return strings.TrimSpace(cluster.Run(t, n.Place, "podlaned config get")) }
	if got := get(); got != good {
		t.Errorf("config get: got %s, want %s", got, good)
	}
	for config, want := range map[string]string{
		"":                           "",
		"{":                          "",
		"[]":                         "",
		`{}`:                         "Network",
		`{"Network": "10.5.0.0"}`:    "10.5.0.0",
		`{"Network": "10.5.0.0/30"}`: "10.5.0.0/30",
		`{"Network": "10.5.0.0/16", "SubnetLen": 17}`:                               "SubnetLen",
		`{"Network": "10.5.0.0/16", "SubnetLen": 16}`:                               "SubnetLen",
		`{"Network": "10.5.0.0/16", "SubnetLen": 31}`:                               "SubnetLen",
		`{"Network": "10.5.0.0/16", "SubnetMin": "10.5.1.7"}`:                       "10.5.1.7",
		`{"Network": "10.5.0.0/16", "SubnetMin": "10.6.0.0"}`:                       "10.6.0.0",
		`{"Network": "10.5.0.0/16", "Backend": {"Type": "carrier-pigeon"}}`:         "carrier-pigeon",
		`{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan", "VNI": 16777216}}`: "VNI",
		`{"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan", "Port": 65536}}`:   "Port",
		`{"Network": "10.5.0.0/16", "EnableIPv6": true}`:                            "IPv6Network",
	} {
		if err := l.SetConfig(cluster.Within(t), config); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("config set %s: got error %v; want exit status 1 and %q", config, err, want)
		}
	}
	if got := get(); got != good {
		t.Errorf("config get after refused ones: got %s, want %s", got, good)
	}
	cluster.Check(t, n.Start(cluster.Within(t)))
	if key := cluster.SubnetText(t, n); !strings.HasSuffix(key, "-25") {
		t.Errorf("pod subnet %s, want length 25", key)
	}

	// A running node keeps its configuration and reports that.
	cluster.Check(t, l.SetConfig(cluster.Within(t), strings.Replace(good, "9", "10", 1)))
	cluster.AwaitStatus(t, n, 5*time.Second, "a note that the configuration has changed", func(s cluster.Status) bool {
		return s.Ready && len(s.Notes) == 1 && strings.Contains(s.Notes[0], "restart podlaned")
	})
}

func TestUnknownKeyInTheConfigurationIsNamed(t *testing.T) {
	l := cluster.Build(t, lab.Options{Nodes: 1})
	cmd := l.Nodes[0].Command(cluster.Within(t), "podlaned", "config", "set", "-")
	cmd.Stdin = strings.NewReader(`{"Network": "10.5.0.0/16", "Networks": 1}`)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	cluster.Check(t, l.Nodes[0].StartCommand(cmd))
	if err := cmd.Wait(); err != nil || !strings.Contains(output.String(), "Networks") {
		t.Errorf("config set: error %v; want a warning that names Networks: %s", err, &output)
	}
}
