package main

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/podlane/podlane/settings"
)

// load loads the settings of `podlaned run`, with a file that has this text.
func load(t *testing.T, file string, environ []string, args ...string) (config, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podlaned.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	return loadConfig("run", append([]string{"--config", path}, args...), environ, &help)
}

func TestSettingsFromFlagsEnvironmentAndFile(t *testing.T) {
	file := "etcd-prefix: /file\nnode-name: file\nlease-ttl: 2h\niface: [eth1, 198.18.0.0/16]\n"
	got, rest, err := load(t, file, []string{"PODLANE_ETCD_PREFIX=/environment", "PODLANE_NODE_NAME=environment"}, "set", "--etcd-prefix=/flag", "-")
	if err != nil {
		t.Fatal(err)
	}
	var want config
	want.flags("run") // the defaults
	want.etcd.Prefix, want.nodeName, want.leaseTTL, want.iface = "/flag", "environment", 2*time.Hour, settings.List{"eth1", "198.18.0.0/16"}
	want.file, want.etcdSetting = got.file, "etcd-prefix"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}), cmpopts.EquateComparable(settings.Addr{}), cmpopts.IgnoreFields(config{}, "again")); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"set", "-"}, rest); diff != "" {
		t.Errorf("other arguments (-want +got):\n%s", diff)
	}
}

func TestDefaultSettings(t *testing.T) {
	c, _, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.runDir != "/run/podlane" {
		t.Errorf("run-dir %s", c.runDir)
	}
	if !c.ipMasq {
		t.Error("ip-masq is off")
	}
	if c.http != "127.0.0.1:9472" {
		t.Errorf("http %s", c.http)
	}
}

func TestWrongSettings(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		args      []string
		want      string
	}{
		"unknown key":                 {file: "# a comment\nnode-name: n1\netcd-endpoint: http://x\n", want: `line 3: unknown key "etcd-endpoint"; do you mean "etcd-endpoints"?`},
		"settings of etcd":            {args: []string{"--etcd-prefix=podlane"}, want: "is not a path"},
		"unknown store":               {args: []string{"--store=zookeeper"}, want: `store "zookeeper" is not etcd or kubernetes`},
		"unknown flag":                {args: []string{"--ifaces=x"}, want: "usage: flag provided but not defined: -ifaces"},
		"key twice":                   {file: "iface: a\niface: b\n", want: "line 2: iface is set twice"},
		"wrong value in file":         {file: "\nlease-ttl: soon\n", want: `line 2: lease-ttl: "soon"`},
		"short lease":                 {args: []string{"--lease-ttl=3s"}, want: "shorter than 1m"},
		"log format":                  {args: []string{"--log-format=xml"}, want: `log-format "xml"`},
		"two ways to choose":          {args: []string{"--iface=x", "--iface-regex=y"}, want: "give only one of iface, iface-regex and iface-can-reach"},
		"IPv6 as public IPv4":         {args: []string{"--public-ip=fd00::1"}, want: "not an IPv4 address"},
		"wrong CIDR":                  {args: []string{"--iface=eth0,198.18.0.0/33"}, want: `iface "198.18.0.0/33" is not a CIDR`},
		"wrong expression":            {args: []string{"--iface-regex=eth["}, want: `iface-regex "eth[" is not a regular expression`},
		"loopback as public":          {args: []string{"--public-ip=127.0.0.1"}, want: "public-ip 127.0.0.1 cannot be the address of a node"},
		"link-local as IPv6":          {args: []string{"--public-ipv6=fe80::1"}, want: "public-ipv6 fe80::1 cannot be the address of a node"},
		"IPv4 as public IPv6":         {args: []string{"--public-ipv6=192.0.2.1"}, want: "public-ipv6 192.0.2.1 is not an IPv6 address"},
		"log level":                   {args: []string{"--log-level=loud"}, want: `log-level "loud" is none of debug, info, warning and error`},
		"short resync":                {args: []string{"--resync=1ms"}, want: "resync 1ms is shorter than 1s"},
		"metrics without a port":      {args: []string{"--metrics=0.0.0.0"}, want: `metrics "0.0.0.0" is not an address with a port`},
		"metrics on the port of http": {args: []string{"--metrics=0.0.0.0:9472"}, want: "metrics 0.0.0.0:9472 has the port of http 127.0.0.1:9472"},
		"name with a newline":         {args: []string{"--node-name=a\nb"}, want: "node name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, c.file, []string{c.env}, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestKnownVariablesAreTheFlagsOfAllCommands(t *testing.T) {
	names := map[string]bool{}
	for _, cmd := range commands {
		var c config
		c.flags(cmd.name).VisitAll(func(f *flag.Flag) { names[f.Name] = true })
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(names)), settings.DaemonNames); diff != "" {
		t.Errorf("settings.DaemonNames (-flags +names):\n%s", diff)
	}
}

func TestUnknownVariableIsNoError(t *testing.T) {
	c, _, err := load(t, "", []string{"PODLANE_INTERFACE=eth1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`the variable "PODLANE_INTERFACE" is not a setting, and has no effect; do you mean PODLANE_IFACE?`}
	if diff := cmp.Diff(want, c.unknown); diff != "" {
		t.Errorf("unknown variables (-want +got):\n%s", diff)
	}
}

func TestSettingOfTheOtherStoreIsNoError(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		args      []string
		want      string
	}{
		"flags":             {args: []string{"--store=kubernetes", "--etcd-endpoints=http://a:2379"}, want: "etcd-endpoints"},
		"file":              {file: "store: kubernetes\netcd-prefix: /podlane/network\n", want: "etcd-prefix"},
		"file and variable": {file: "store: kubernetes\n", env: "PODLANE_ETCD_CAFILE=/ca.pem", want: "etcd-cafile"},
		"a wrong value":     {args: []string{"--store=kubernetes", "--etcd-prefix=podlane"}, want: "etcd-prefix"},
	} {
		got, _, err := load(t, c.file, []string{c.env}, c.args...)
		want := "two stores at once: store is kubernetes, and " + c.want + " is set for etcd and has no effect; remove one of them"
		if err != nil || got.otherStore() != want {
			t.Errorf("%s: %q, error %v, want %q", name, got.otherStore(), err, want)
		}
	}
}

func TestStoreSetting(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		args      []string
		want      storeKind
		identity  string
	}{
		"default":              {want: storeEtcd, identity: "/podlane/network"},
		"flag":                 {args: []string{"--store=kubernetes"}, want: storeKubernetes, identity: "kubernetes"},
		"variable":             {env: "PODLANE_STORE=kubernetes", want: storeKubernetes, identity: "kubernetes"},
		"file":                 {file: "store: kubernetes\n", want: storeKubernetes, identity: "kubernetes"},
		"an empty variable":    {file: "store: kubernetes\n", env: "PODLANE_ETCD_ENDPOINTS=", want: storeKubernetes, identity: "kubernetes"},
		"etcd, with a setting": {file: "store: etcd\n", env: "PODLANE_ETCD_PREFIX=/p/", want: storeEtcd, identity: "/p"},
	} {
		got, _, err := load(t, c.file, []string{c.env}, c.args...)
		if err != nil || got.store != c.want || got.storeIdentity() != c.identity || got.otherStore() != "" {
			t.Errorf("%s: store %s, identity %s, error %v", name, got.store, got.storeIdentity(), err)
		}
	}
}

func TestHelpNamesEveryFlagOnce(t *testing.T) {
	var help strings.Builder
	_, _, err := loadConfig("run", []string{"--help"}, nil, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	var c config
	c.flags("run").VisitAll(func(f *flag.Flag) {
		if n := strings.Count(help.String(), "\n  -"+f.Name+" ") + strings.Count(help.String(), "\n  -"+f.Name+"\n"); n != 1 {
			t.Errorf("-%s is %d times in the help, want once:\n%s", f.Name, n, help.String())
		}
	})
}

func TestShippedFileNamesOnlyKnownKeys(t *testing.T) {
	data, err := os.ReadFile("../dist/podlaned.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var c config
	flags := c.flags("run")
	for line := range strings.Lines(string(data)) {
		key, _, isSetting := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": ")
		if isSetting && !strings.Contains(key, " ") && !strings.HasPrefix(key, "/") && flags.Lookup(key) == nil {
			t.Errorf("%q is not a setting", key)
		}
	}
}
