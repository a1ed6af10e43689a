package input

import (
	"fmt"
	"strings"
	"testing"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/tests/cluster"
)

// badNetworks are network configurations, and the error for each.
var badNetworks = []struct{ name, config, want string }{
	{"empty", ``, "network configuration: empty"},
	{"blank", " \n", "network configuration: empty"},
	{"cut in half", `{"Network":"10.5.0.`, "unexpected end of JSON input"},
	{"no object", `["10.5.0.0/16"]`, "it is an array: want an object"},
	{"without a network", `{}`, "Network is missing"},
	{"network that is no prefix", `{"Network":"10.5.0.0"}`, `Network "10.5.0.0" is not an IPv4 prefix like 10.5.0.0/16`},
	{"network that is a number", `{"Network":10}`, "Network is a number: want a string"},
	{"both families off", `{"EnableIPv4":false}`, "EnableIPv4 and EnableIPv6 are both false"},
	{"too small", `{"Network":"10.5.0.0/29"}`, "Network 10.5.0.0/29 is too small: /28 at the most"},
	{"too few subnets", `{"Network":"10.5.0.0/23","SubnetLen":24}`, "SubnetLen 24 leaves fewer than four subnets in Network 10.5.0.0/23"},
	{"SubnetLen too long", `{"Network":"10.5.0.0/16","SubnetLen":31}`, "SubnetLen 31 is not between 1 and 30"},
	{"SubnetLen negative", `{"Network":"10.5.0.0/16","SubnetLen":-1}`, "SubnetLen -1 is not between 1 and 30"},
	{"SubnetMin misaligned", `{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.7"}`, "SubnetMin 10.5.1.7 does not begin a /24: the nearest that does is 10.5.1.0"},
	{"SubnetMax misaligned", `{"Network":"10.5.0.0/16","SubnetMax":"10.5.9.128"}`, "SubnetMax 10.5.9.128 does not begin a /24: the nearest that does is 10.5.9.0"},
	{"SubnetMin outside", `{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}`, `SubnetMin "10.6.0.0" is not an address in 10.5.0.0/16`},
	{"SubnetMin above SubnetMax", `{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.8.0"}`, "SubnetMin 10.5.9.0 is above SubnetMax 10.5.8.0"},
	{"unknown backend", `{"Network":"10.5.0.0/16","Backend":{"Type":"ipip"}}`, `Backend.Type "ipip" is unknown: the one backend is "vxlan"`},
	{"backend that is a text", `{"Network":"10.5.0.0/16","Backend":"vxlan"}`, "Backend is a string: want an object"},
	{"VNI 0", `{"Network":"10.5.0.0/16","Backend":{"VNI":0}}`, "Backend.VNI 0 is not between 1 and 16777215"},
	{"VNI too high", `{"Network":"10.5.0.0/16","Backend":{"VNI":16777216}}`, "Backend.VNI 16777216 is not between 1 and 16777215"},
	{"port too high", `{"Network":"10.5.0.0/16","Backend":{"Port":65536}}`, "Backend.Port 65536 is not between 1 and 65535"},
	{"port negative", `{"Network":"10.5.0.0/16","Backend":{"Port":-1}}`, "Backend.Port -1 is not between 1 and 65535"},
	{"MTU too low", `{"Network":"10.5.0.0/16","Backend":{"MTU":575}}`, "Backend.MTU 575 is not between 576 and 65535"},
	{"MTU too low for IPv6", `{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"MTU":1279}}`, "Backend.MTU 1279 is not between 1280 and 65535"},
	{"MTU too high", `{"Network":"10.5.0.0/16","Backend":{"MTU":65536}}`, "Backend.MTU 65536 is not between 576 and 65535"},
	{"IPv6 on without a network", `{"Network":"10.5.0.0/16","EnableIPv6":true}`, "IPv6Network is missing"},
}

func TestBadNetworkConfiguration(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	for i, c := range badNetworks {
		t.Run(c.name, func(t *testing.T) {
			prefix := fmt.Sprintf("/bad%d/network", i)
			if err := l.Etcd.Put(t.Context(), prefix+"/config", c.config); err != nil {
				t.Fatal(err)
			}
			run(t, n, nil, "run", "--etcd-prefix", prefix).expectError(t, exitError, prefix+"/config: the network configuration in etcd is not valid: network configuration: ..."+
				strings.TrimPrefix(c.want, "network configuration: ")+"...; correct it with `podlaned config set FILE`")
			expectUntouched(t, l, n, prefix)
		})
	}
	t.Run("none", func(t *testing.T) {
		run(t, n, nil).expectError(t, exitError, "/podlane/network/config: there is no network configuration in etcd: write one with 'podlaned config set'")
		expectUntouched(t, l, n, lab.DefaultPrefix)
		run(t, n, nil, "config", "get").expectError(t, exitError, "podlaned: /podlane/network/config: there is no network configuration in etcd: write one with 'podlaned config set'")
	})
}

func TestBadNetworkConfigurationIsNotWritten(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	const key, good = "/podlane/network/config", `{"Network": "10.5.0.0/16"}`
	if err := l.SetConfig(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	unchanged := func(t *testing.T) {
		t.Helper()
		if have, _, err := l.Etcd.Get(t.Context(), key); have != good || err != nil {
			t.Errorf("configuration in etcd: %q, error %v; want %q", have, err, good)
		}
	}
	for _, c := range badNetworks {
		t.Run(c.name, func(t *testing.T) {
			run(t, n, nil, "config", "set", writeFile(t, "network.json", c.config)).expectError(t, exitError, c.want)
			unchanged(t)
		})
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no such file", []string{"set", "/run/none.json"}, exitError, "read the network configuration: open /run/none.json: no such file"},
		{"a folder", []string{"set", "/run"}, exitError, "read the network configuration...is a directory"},
		{"too large", []string{"set", writeFile(t, "large.json", strings.Repeat(" ", 70<<10)+good)}, exitError, "larger than 64 KiB"},
		{"no file named", []string{"set"}, exitUsage, "podlaned config set FILE"},
		{"two files", []string{"set", "a", "b"}, exitUsage, "podlaned config set FILE"},
		{"neither get nor set", []string{"delete"}, exitUsage, "podlaned config get"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, n, nil, append([]string{"config"}, c.args...)...).expectError(t, c.code, c.want)
			unchanged(t)
		})
	}
}

func TestUnknownKeysOfTheNetworkConfigurationAreNamed(t *testing.T) {
	l := build(t, 1)
	n := l.Nodes[0]
	const config = `{"Network": "10.5.0.0/16", "Subnetlen": 24, "SubnetLength": 25, "Backend": {"Type": "vxlan", "VNID": 7}}`
	set := run(t, n, nil, "config", "set", writeFile(t, "network.json", config))
	set.expect(t, exitOK, `unknown key "SubnetLength" is ignored...unknown key "Backend.VNID" is ignored`)
	if strings.Contains(set.err, `"Subnetlen"`) {
		t.Errorf("config set names the known key Subnetlen: %s", set.err)
	}
	get := run(t, n, nil, "config", "get")
	get.expect(t, exitOK, `"SubnetLength"`)
	if got := strings.TrimSpace(get.out); got != config {
		t.Errorf("config get: got %s, want %s", got, config)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"SubnetLength", "Backend.VNID"} {
		if count := strings.Count(n.LogText(), `unknown key \"`+key); count != 1 {
			t.Errorf("the log names %s %d times, want once", key, count)
		}
	}
}

// The network configuration becomes invalid. A running node keeps the one that it has.
func TestNetworkConfigurationBecomesInvalid(t *testing.T) {
	l := buildConfigured(t, 2, 2)
	n := l.Nodes[0]
	before, err := n.Subnet()
	if err != nil {
		t.Fatal(err)
	}
	const key = "/podlane/network/config"
	if err := l.Etcd.Put(t.Context(), key, `{"Network":"10.5.0.0/16","Backend":{"Type":"ipip"}}`); err != nil {
		t.Fatal(err)
	}
	cluster.Until(t, waitLimit, "the log names the bad key", func() (bool, string) {
		return containsParts(n.LogText(), `Backend.Type...the last valid one stays in use`), n.LogText()
	})
	if err := l.Etcd.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	cluster.Until(t, waitLimit, "the last valid one is restored", func() (bool, string) {
		now, _, err := l.Etcd.Get(t.Context(), key)
		return err == nil && now == lab.DefaultConfig, now
	})
	if s := await(t, n, "one peer and ready", func(s status) bool { return len(s.Peers) == 1 && s.Ready }); len(s.Skipped) > 0 {
		t.Errorf("skipped leases: %v, want none", s.Skipped)
	}
	if after, err := n.Subnet(); after != before || err != nil {
		t.Errorf("pod subnet %v, error %v; want %v as before", after, err, before)
	}
}
