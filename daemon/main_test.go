package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	none, wrong := "--config="+t.TempDir()+"/podlaned.yaml", filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("no-such-key: 1\nrun-dir: /none\nrun-dir: /other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"version", []string{"version"}, exitOK, "podlaned ", ""},
		{"version with an argument", []string{"version", "x"}, exitUsage, "", `podlaned: usage: unexpected argument "x"`},
		{"help", []string{"--help"}, exitOK, "Usage: podlaned [COMMAND] [FLAGS]", ""},
		{"help of a command", []string{"status", "-h"}, exitOK, "-json", ""},
		{"unknown command", []string{"go"}, exitUsage, "", "podlaned: unknown command \"go\"; `podlaned --help` lists them"},
		{"empty command", []string{""}, exitUsage, "", `podlaned: usage: unexpected argument ""`},
		{"unknown flag", []string{"status", "--jsn"}, exitUsage, "", "podlaned: usage: flag provided but not defined: -jsn"},
		{"missing file", []string{"config", "get", none}, exitUsage, "", "podlaned: read the configuration file: open "},
		{"status with a wrong file", []string{"status", "--config=" + wrong}, exitError, "", "podlaned: " + wrong + ": line 3: run-dir is set twice\npodlaned: ask podlaned on this node: dial unix /none/podlaned.sock"},
		{"config alone", []string{"config"}, exitUsage, "", "podlaned: usage: podlaned config get, or podlaned config set FILE"},
		{"no endpoint", []string{"config", "get", "--etcd-endpoints="}, exitError, "", "podlaned: etcd: no endpoint given"},
		{"no password", []string{"config", "get", "--etcd-username=a", "--etcd-password-file=/none"}, exitError, "", "podlaned: etcd: read password: open /none"},
		{"config with the Kubernetes store", []string{"config", "get", "--store=kubernetes"}, exitError, "", "podlaned: with store kubernetes the network configuration is net-conf.json in the ConfigMap podlane-network: change it in podlane.yaml or in the value network of the chart, and apply that"},
		{"no configuration to set", []string{"config", "set", "/none"}, exitError, "", "podlaned: read the network configuration: open /none"},
		{"wrong configuration to set", []string{"config", "set", "-"}, exitError, "", "podlaned: network configuration: empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, err strings.Builder
			if code := command(t.Context(), c.args, streams{strings.NewReader(""), &out, &err}); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("output %q, want %q in it", &out, c.out)
			}
			if !strings.HasPrefix(err.String(), c.err) || (c.err == "") != (err.String() == "") {
				t.Errorf("errors %q, want %q at the beginning", &err, c.err)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, exitOK, ""},
		{errSilent, exitError, ""},
		{errors.New("no luck"), exitError, "podlaned: no luck\n"},
		{fmt.Errorf("%w: what?", errUsage), exitUsage, "podlaned: usage: what?\n"},
	} {
		var b strings.Builder
		if code := exitCode(c.err, &b); code != c.code || b.String() != c.text {
			t.Errorf("%v: %d, %q; want %d, %q", c.err, code, &b, c.code, c.text)
		}
	}
}

func TestNetworkConfigurationIsBounded(t *testing.T) {
	for size, good := range map[int]bool{maxConfig: true, maxConfig + 1: false} {
		raw, err := readAll("-", strings.NewReader(strings.Repeat(" ", size)))
		if (err == nil) != good || good && len(raw) != size {
			t.Errorf("%d bytes: %d, %v", size, len(raw), err)
		}
	}
}
