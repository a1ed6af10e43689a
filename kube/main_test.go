package main

import (
	"bytes"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet/annotation"
)

func TestSettings(t *testing.T) {
	node := func(name, runDir string) config {
		return config{nodeName: name, runDir: runDir, store: storeEtcd, networkFile: "/etc/podlane/network/net-conf.json", annotationPrefix: annotation.DefaultPrefix}
	}
	kubernetes := node("n1", "/run/podlane")
	kubernetes.store, kubernetes.networkFile, kubernetes.annotationPrefix = storeKubernetes, "/n.json", "example.org/blue"
	for name, c := range map[string]struct {
		command       string
		args, environ []string
		want          config
	}{
		"defaults of node": {"node", nil, []string{"NODE_NAME=n1"}, node("n1", "/run/podlane")},
		"PODLANE_NODE_NAME wins over NODE_NAME": {"node", nil, []string{"PODLANE_NODE_NAME=n2", "NODE_NAME=n1"},
			node("n2", "/run/podlane")},
		"a flag wins over the environment": {"node", []string{"--node-name", "n2"}, []string{"NODE_NAME=n1", "PODLANE_RUN_DIR=/r"},
			node("n2", "/r")},
		"the store kubernetes": {"node", []string{"--network-file=/n.json"}, []string{"NODE_NAME=n1", "PODLANE_STORE=kubernetes", "PODLANE_ANNOTATION_PREFIX=example.org/blue"},
			kubernetes},
		"release": {"release", []string{"--grace=1m"}, []string{"PODLANE_ETCD_ENDPOINTS=https://a:2379", "PODLANE_GRACE=2m"},
			config{grace: time.Minute, etcd: settings.Etcd{Endpoints: settings.List{"https://a:2379"}, Prefix: "/podlane/network"}}},
	} {
		got, err := loadConfig(c.command, c.args, c.environ, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(config{})); diff != "" {
			t.Errorf("%s: settings (-want +got):\n%s", name, diff)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for name, c := range map[string]struct {
		args, environ []string
		want          string
	}{
		"no command":       {nil, nil, "Usage"},
		"unknown command":  {[]string{"nod"}, nil, `unknown command "nod"`},
		"no node name":     {[]string{"node"}, nil, "NODE_NAME"},
		"unknown flag":     {[]string{"node", "--grace=1m"}, nil, "grace"},
		"argument":         {[]string{"release", "now"}, nil, "now"},
		"wrong variable":   {[]string{"release"}, []string{"PODLANE_GRACE=soon"}, "PODLANE_GRACE=soon"},
		"relative prefix":  {[]string{"release", "--etcd-prefix=podlane"}, nil, "is not a path"},
		"unknown store":    {[]string{"node", "--node-name=n1", "--store=consul"}, nil, `store "consul" is unknown`},
		"wrong prefix":     {[]string{"node", "--node-name=n1", "--annotation-prefix=blue"}, nil, "is not a prefix of annotations"},
		"negative grace":   {[]string{"release", "--grace=-1s"}, nil, "is negative"},
		"no API server":    {[]string{"node", "--node-name=n1", "--kubeconfig=/nowhere"}, nil, "/nowhere"},
		"not in a cluster": {[]string{"release"}, nil, "find the API server: podlane-kube does not run in a pod; give it --kubeconfig"},
	} {
		var out, log bytes.Buffer
		if code := command(t.Context(), c.args, c.environ, &out, &log); code == exitOK || !strings.Contains(log.String(), c.want) {
			t.Errorf("%s: exit code %d and %q; want an error with %q", name, code, &log, c.want)
		}
	}
}

func TestKnownVariablesAreTheFlagsOfAllCommands(t *testing.T) {
	names := map[string]bool{}
	for _, cmd := range commands {
		var c config
		c.flags(cmd.name).VisitAll(func(f *flag.Flag) { names[f.Name] = true })
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(names)), settings.KubeNames); diff != "" {
		t.Errorf("settings.KubeNames (-flags +names):\n%s", diff)
	}
}

func TestUnknownVariableIsLogged(t *testing.T) {
	environ := []string{"PODLANE_ETCD_ENDPOINTS=http://a", "PODLANE_CNI_CONF=/x", "PODLANE_SERVICE_HOST=10.96.0.1", "PODLANE_NODENAME=n1"}
	var out, log bytes.Buffer
	command(t.Context(), []string{"node", "--node-name=n1", "--kubeconfig=/nowhere"}, environ, &out, &log)
	const want = "PODLANE_NODENAME\\\" is not a setting, and has no effect; do you mean PODLANE_NODE_NAME?"
	if got := strings.Count(log.String(), "environment: "); got != 1 || !strings.Contains(log.String(), want) {
		t.Errorf("%d lines, want one with %q:\n%s", got, want, &log)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"node", "--help"}, {"release", "-h"}} {
		var out, log bytes.Buffer
		if code := command(t.Context(), args, nil, &out, &log); code != exitOK || out.Len() == 0 || log.Len() != 0 {
			t.Errorf("%q ends with %d, prints %q and %q", args, code, &out, &log)
		}
	}
}
