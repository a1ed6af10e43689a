package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/status"
)

func TestFaultsOfPodlanedAndPodlaneKube(t *testing.T) {
	for name, c := range map[string]struct {
		podlaned status.Faults
		own      []string
		want     []string // reason, then the sentence
	}{
		"none": {},
		"a check and a problem are the same": {
			status.Faults{Checks: []string{"etcd: no answer"}, Problems: []string{"etcd: no answer"}}, nil,
			[]string{"Etcd", "etcd: no answer"},
		},
		"a check and a problem of one kind": {
			status.Faults{Checks: []string{"node-file: not written yet"}, Problems: []string{"node file: disk full"}}, nil,
			[]string{"NodeFile", "node-file: not written yet; disk full"},
		},
		"of both programs": {
			status.Faults{Problems: []string{"other CNI: 05-cilium.conflist comes before", "bridge-netfilter: module: not loaded"}},
			[]string{"API server: list the Nodes: no", "kube-proxy: clusterCIDR differs"},
			[]string{
				"APIServer", "API server: list the Nodes: no", "BridgeNetfilter", "bridge-netfilter: module: not loaded",
				"KubeProxy", "kube-proxy: clusterCIDR differs", "OtherCNI", "other CNI: 05-cilium.conflist comes before",
			},
		},
		"podlaned repeats what podlane-kube sends": {
			status.Faults{Checks: []string{"kubernetes: no pod network is set"}}, []string{"network configuration: no pod network is set"},
			[]string{"Kubernetes", "kubernetes: no pod network is set"},
		},
		"no kind": {status.Faults{Checks: []string{": x"}}, nil, []string{"Other", ": x"}},
	} {
		var got []string
		for _, f := range faultsOf(c.podlaned, c.own) {
			got = append(got, f.reason(), f.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", name, diff)
		}
	}
}

func TestLongFaultIsCut(t *testing.T) {
	got := faultsOf(status.Faults{}, []string{"etcd: " + strings.Repeat("ü", maxFaultText)})[0].text
	if len(got) > maxFaultText || len(got) < maxFaultText-1 || !utf8.ValidString(got) || !strings.HasSuffix(got, "ü…") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

func TestReasonOfAKind(t *testing.T) {
	for kind, want := range map[string]string{
		"etcd": "Etcd", "refused by the kernel": "RefusedByTheKernel", "saved state": "SavedState", "HTTP/2": "HTTP2", "": "Other", "äöü": "Other",
	} {
		if got := reasonOf(kind); got != want {
			t.Errorf("%q: %s, want %s", kind, got, want)
		}
	}
}
