package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/google/go-cmp/cmp"
)

func TestProblemCondition(t *testing.T) {
	for name, c := range map[string]struct {
		faults          []nodeFault
		status          corev1.ConditionStatus
		reason, message string
	}{
		"none":    {nil, corev1.ConditionFalse, "NoProblem", "podlane reports no problem on this node"},
		"one":     {[]nodeFault{{"other CNI", "x"}}, corev1.ConditionTrue, "OtherCNI", "other CNI: x"},
		"several": {[]nodeFault{{"etcd", "a"}, {"lease", "b"}}, corev1.ConditionTrue, "SeveralProblems", "2 problems: etcd: a; lease: b"},
	} {
		want := corev1.NodeCondition{Type: "PodNetworkProblem", Status: c.status, Reason: c.reason, Message: c.message}
		if diff := cmp.Diff(want, problemCondition(c.faults)); diff != "" {
			t.Errorf("%s: condition (-want +got):\n%s", name, diff)
		}
	}
	for _, n := range []int{2, 3, 5, 10} {
		faults := make([]nodeFault, n)
		for i := range faults {
			faults[i] = nodeFault{fmt.Sprint("kind", i), strings.Repeat("x", maxFaultText)}
		}
		got := problemCondition(faults).Message
		for _, f := range faults {
			if !strings.Contains(got, f.kind+": xxx") || len(got) > maxMessage {
				t.Errorf("of %d faults, %s is missing in %d bytes: %s", n, f.kind, len(got), got)
			}
		}
	}
	long := strings.Repeat("x", maxFaultText)
	first := []nodeFault{{"kernel", "not verified yet"}, {"kubernetes", long}, {"lease", "none yet"}, {"node-file", "not written yet"}, {"API server", long}}
	if got := problemCondition(first).Message; strings.Count(got, long) != 2 || len(got) > maxMessage {
		t.Errorf("short faults beside two long ones: want both whole, got %d bytes: %s", len(got), got)
	}
	many := make([]nodeFault, 50)
	for i := range many {
		many[i] = nodeFault{"etcd", strings.Repeat("x", maxFaultText)}
	}
	if got := problemCondition(many).Message; len(got) != maxMessage || !strings.HasPrefix(got, "50 problems: ") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
