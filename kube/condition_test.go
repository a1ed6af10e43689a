package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

var (
	ipv4 = netip.MustParsePrefix("10.5.34.0/24")
	ipv6 = netip.MustParsePrefix("fd00:5:22::/64")
)

func TestCondition(t *testing.T) {
	up := overlay{subnet: subnet.Pair{IPv4: ipv4}}
	dual := overlay{subnet: subnet.Pair{IPv4: ipv4, IPv6: ipv6}}
	const unused = " from kube-controller-manager is not used; start kube-controller-manager with --allocate-node-cidrs=false"
	for name, c := range map[string]struct {
		overlay  overlay
		podCIDRs []string
		status   corev1.ConditionStatus
		reason   string
		message  string
	}{
		"up":                        {up, nil, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24"},
		"both families":             {dual, nil, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64"},
		"the same podCIDR":          {dual, []string{"fd00:5:22::/64", "10.5.34.0/24"}, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64"},
		"another podCIDR":           {up, []string{"10.244.1.0/24"}, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24; podCIDR 10.244.1.0/24" + unused},
		"two, of which one is used": {dual, []string{"10.5.34.0/24", "fd01::/64"}, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64; podCIDR fd01::/64" + unused},
		"invalid podCIDR":           {up, []string{"x"}, corev1.ConditionFalse, reasonUp, "podlane is up: the pod subnet is 10.5.34.0/24; podCIDR x" + unused},
		"not up":                    {overlay{reason: "lease: none yet"}, nil, corev1.ConditionTrue, reasonDown, "podlane is not up: lease: none yet"},
		"not up, with a podCIDR":    {overlay{reason: "lease: none yet"}, []string{"10.244.1.0/24"}, corev1.ConditionTrue, reasonDown, "podlane is not up: lease: none yet"},
	} {
		want := corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: c.status, Reason: c.reason, Message: c.message}
		if diff := cmp.Diff(want, condition(c.overlay, c.podCIDRs)); diff != "" {
			t.Errorf("%s: condition (-want +got):\n%s", name, diff)
		}
	}
}

func TestLongReasonIsCut(t *testing.T) {
	got := condition(overlay{reason: strings.Repeat("ü", maxMessage)}, nil).Message
	if len(got) > maxMessage || len(got) < maxMessage-3 {
		t.Errorf("%d bytes, want %d or a few less", len(got), maxMessage)
	}
	if !utf8.ValidString(got) {
		t.Error("a character is cut in two")
	}
}

func TestConditionIsWrittenOnlyIfItDiffers(t *testing.T) {
	earlier, now := time.Unix(1000, 0), time.Unix(2000, 0)
	want := condition(overlay{subnet: subnet.Pair{IPv4: ipv4}}, nil)
	with := func(change func(*corev1.NodeCondition)) []corev1.NodeCondition {
		c := want
		c.LastTransitionTime = metav1.NewTime(earlier)
		change(&c)
		return []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, c}
	}
	for name, c := range map[string]struct {
		have       []corev1.NodeCondition
		changed    bool
		transition time.Time
	}{
		"no condition":          {nil, true, now},
		"the same":              {with(func(*corev1.NodeCondition) {}), false, earlier},
		"from a cloud provider": {with(func(c *corev1.NodeCondition) { c.Status, c.Reason = corev1.ConditionTrue, "NoRouteCreated" }), true, now},
		"from flannel":          {with(func(c *corev1.NodeCondition) { c.Reason = "FlannelIsUp" }), true, earlier},
		"another pod subnet":    {with(func(c *corev1.NodeCondition) { c.Message = "10.5.35.0/24" }), true, earlier},
		"another type":          {with(func(c *corev1.NodeCondition) { c.Type = "Network" }), true, now},
	} {
		got, changed := withTimes(c.have, want, now)
		if changed != c.changed {
			t.Errorf("%s: changed: %v, want %v", name, changed, c.changed)
		}
		if !got.LastTransitionTime.Time.Equal(c.transition) {
			t.Errorf("%s: transition %v, want %v", name, got.LastTransitionTime, c.transition)
		}
	}
}

func TestPatchHasOnlyOneCondition(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(patch(condition(overlay{subnet: subnet.Pair{IPv4: ipv4}}, nil)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
		"type": "NetworkUnavailable", "status": "False", "reason": reasonUp, "message": "podlane is up: the pod subnet is 10.5.34.0/24",
		"lastHeartbeatTime": nil, "lastTransitionTime": nil,
	}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}
