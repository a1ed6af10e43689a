package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	c, err := loadConfig("node", nil, []string{"NODE_NAME=n1"}, nil)
	if err != nil || c.nodeName != "n1" || c.runDir != "/run/podlane" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = loadConfig("node", []string{"--node-name", "n2"}, []string{"NODE_NAME=n1", "PODLANE_RUN_DIR=/r"}, nil)
	if err != nil || c.nodeName != "n2" || c.runDir != "/r" {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = loadConfig("release", []string{"--grace=1m"}, []string{"PODLANE_ETCD_ENDPOINTS=https://a:2379", "PODLANE_GRACE=2m"}, nil)
	if err != nil || c.grace != time.Minute || c.etcd.Endpoints.String() != "https://a:2379" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCommandsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		args, environ []string
		says          string
	}{
		"no command":       {nil, nil, "Usage"},
		"unknown command":  {[]string{"nod"}, nil, "Usage"},
		"no node name":     {[]string{"node"}, nil, "NODE_NAME"},
		"unknown flag":     {[]string{"node", "--grace=1m"}, nil, "grace"},
		"argument":         {[]string{"release", "now"}, nil, "now"},
		"bad variable":     {[]string{"release"}, []string{"PODLANE_GRACE=soon"}, "PODLANE_GRACE=soon"},
		"negative grace":   {[]string{"release", "--grace=-1s"}, nil, "less than nothing"},
		"no API server":    {[]string{"node", "--node-name=n1", "--kubeconfig=/nowhere"}, nil, "/nowhere"},
		"not in a cluster": {[]string{"release"}, nil, "find the API server"},
	} {
		var out, log bytes.Buffer
		if code := command(t.Context(), c.args, c.environ, &out, &log); code == exitOK || !strings.Contains(log.String(), c.says) {
			t.Errorf("%s: ends with %d and says %q", name, code, &log)
		}
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
