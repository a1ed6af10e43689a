package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// load loads a configuration as `podlaned run` would, from a file with this text.
func load(t *testing.T, file string, environ []string, args ...string) (config, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "podlaned.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	return loadConfig("run", append([]string{"--config", path}, args...), environ, &help)
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	file := "etcd-prefix: /file\nnode-name: file\nlease-ttl: 2h\niface: [eth1, 198.18.0.0/16]\n"
	c, rest, err := load(t, file, []string{"PODLANE_ETCD_PREFIX=/env", "PODLANE_NODE_NAME=env"}, "set", "--etcd-prefix=/flag", "-")
	if err != nil {
		t.Fatal(err)
	}
	if c.etcd.Prefix != "/flag" || c.nodeName != "env" || c.leaseTTL != 2*time.Hour || c.iface.String() != "eth1,198.18.0.0/16" {
		t.Errorf("prefix %s (flag), name %s (env), ttl %s and iface %s (file)", c.etcd.Prefix, c.nodeName, c.leaseTTL, &c.iface)
	}
	if c.runDir != "/run/podlane" || !c.ipMasq || c.http != "127.0.0.1:9472" {
		t.Errorf("defaults: %+v", c)
	}
	if got := strings.Join(rest, " "); got != "set -" {
		t.Errorf("arguments left over: %q", got)
	}
}

func TestWrongSettings(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		args      []string
		want, not string
	}{
		"unknown key":         {file: "# a comment\nnode-name: n1\netcd-endpoint: http://x\n", want: `line 3: unknown key "etcd-endpoint"; do you mean "etcd-endpoints"?`},
		"config in the file":  {file: "config: /x\n", want: `line 1: unknown key "config"`, not: "do you mean"},
		"key twice":           {file: "iface: a\niface: b\n", want: "line 2: iface is set twice"},
		"bad value in file":   {file: "\nlease-ttl: soon\n", want: `line 2: lease-ttl: "soon"`},
		"map as a value":      {file: "iface: {a: b}\n", want: "line 1: iface: want a plain value"},
		"no mapping":          {file: "- a\n", want: "line 1: want lines like"},
		"not YAML":            {file: "a: [\n", want: "yaml: line"},
		"bad environment":     {env: "PODLANE_IP_MASQ=perhaps", want: "PODLANE_IP_MASQ=perhaps"},
		"unknown flag":        {args: []string{"--ifaces=x"}, want: "-ifaces"},
		"short lease":         {args: []string{"--lease-ttl=3s"}, want: "shorter than 1m"},
		"format":              {args: []string{"--log-format=xml"}, want: `log-format "xml"`},
		"half a key pair":     {args: []string{"--etcd-certfile=x"}, want: "go together"},
		"user alone":          {args: []string{"--etcd-username=x"}, want: "etcd-password-file"},
		"prefix":              {args: []string{"--etcd-prefix=podlane"}, want: "is not a path"},
		"two ways to choose":  {args: []string{"--iface=x", "--iface-regex=y"}, want: "give only one of iface, iface-regex and iface-can-reach"},
		"IPv6 as public IPv4": {args: []string{"--public-ip=fd00::1"}, want: "not an IPv4 address"},
		"bad CIDR":            {args: []string{"--iface=eth0,198.18.0.0/33"}, want: `iface "198.18.0.0/33" is not a CIDR`},
		"bad expression":      {args: []string{"--iface-regex=eth["}, want: `iface-regex "eth[" is not a regular expression`},
		"loopback as public":  {args: []string{"--public-ip=127.0.0.1"}, want: "public-ip 127.0.0.1 cannot be the address of a node"},
		"link-local as IPv6":  {args: []string{"--public-ipv6=fe80::1"}, want: "public-ipv6 fe80::1 cannot be the address of a node"},
		"IPv4 as public IPv6": {args: []string{"--public-ipv6=192.0.2.1"}, want: "public-ipv6 192.0.2.1 is not an IPv6 address"},
		"log level":           {args: []string{"--log-level=loud"}, want: `log-level "loud" is none of debug, info, warning and error`},
		"short resync":        {args: []string{"--resync=1ms"}, want: "resync 1ms is shorter than 1s"},
		"no duration":         {args: []string{"--resync=often"}, want: "want a duration such as 30s or 24h"},
		"no boolean":          {args: []string{"--ip-masq=perhaps"}, want: "want true or false"},
		"name with a newline": {args: []string{"--node-name=a\nb"}, want: "node name"},
		"no address":          {args: []string{"--public-ip=here"}, want: "want an IP address"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, c.file, []string{c.env}, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("error %v, want %q in it, and %q not", err, c.want, c.not)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	var help strings.Builder
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, _, err := loadConfig("run", []string{"--config", missing}, nil, &help); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file the operator named is missing: error %v", err)
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
			t.Errorf("-%s stands %d times in the help:\n%s", f.Name, n, help.String())
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
			t.Errorf("%q is no setting", key)
		}
	}
}
