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

	"github.com/podlane/podlane/subnet"
)

var (
	ipv4 = netip.MustParsePrefix("10.5.34.0/24")
	ipv6 = netip.MustParsePrefix("fd00:5:22::/64")
)

func TestConditionInWords(t *testing.T) {
	up := overlay{subnet: subnet.Pair{IPv4: ipv4}}
	dual := overlay{subnet: subnet.Pair{IPv4: ipv4, IPv6: ipv6}}
	const unused = " comes from kube-controller-manager and is not used: its flag --allocate-node-cidrs=false ends that"
	for name, c := range map[string]struct {
		overlay  overlay
		podCIDRs []string
		status   corev1.ConditionStatus
		message  string
	}{
		"up":                          {up, nil, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24"},
		"both families":               {dual, nil, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64"},
		"the same podCIDR":            {dual, []string{"fd00:5:22::/64", "10.5.34.0/24"}, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64"},
		"another podCIDR":             {up, []string{"10.244.1.0/24"}, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24; podCIDR 10.244.1.0/24" + unused},
		"two, and one is the same":    {dual, []string{"10.5.34.0/24", "fd01::/64"}, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24 and fd00:5:22::/64; podCIDR fd01::/64" + unused},
		"a podCIDR that is none":      {up, []string{"x"}, corev1.ConditionFalse, "podlane is up: the pod subnet is 10.5.34.0/24; podCIDR x" + unused},
		"not up":                      {overlay{reason: "lease: none yet"}, nil, corev1.ConditionTrue, "podlane is not up: lease: none yet"},
		"not up and there is podCIDR": {overlay{reason: "lease: none yet"}, []string{"10.244.1.0/24"}, corev1.ConditionTrue, "podlane is not up: lease: none yet"},
	} {
		got := condition(c.overlay, c.podCIDRs)
		if got.Type != corev1.NodeNetworkUnavailable || got.Status != c.status || got.Message != c.message {
			t.Errorf("%s: %s is %s: %q, want %s: %q", name, got.Type, got.Status, got.Message, c.status, c.message)
		}
	}
}

func TestLongReasonIsCut(t *testing.T) {
	got := condition(overlay{reason: strings.Repeat("ü", maxMessage)}, nil).Message
	if len(got) > maxMessage || len(got) < maxMessage-1 || !utf8.ValidString(got) {
		t.Errorf("%d bytes, valid: %v", len(got), utf8.ValidString(got))
	}
}

func TestConditionIsWrittenOnlyWhereItDiffers(t *testing.T) {
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
		needed     bool
		transition time.Time
	}{
		"there is none":       {nil, true, now},
		"the same":            {with(func(*corev1.NodeCondition) {}), false, earlier},
		"a cloud's":           {with(func(c *corev1.NodeCondition) { c.Status, c.Reason = corev1.ConditionTrue, "NoRouteCreated" }), true, now},
		"flannel's":           {with(func(c *corev1.NodeCondition) { c.Reason = "FlannelIsUp" }), true, earlier},
		"another pod subnet":  {with(func(c *corev1.NodeCondition) { c.Message = "10.5.35.0/24" }), true, earlier},
		"of a type like ours": {with(func(c *corev1.NodeCondition) { c.Type = "Network" }), true, now},
	} {
		got, yes := needed(c.have, want, now)
		if yes != c.needed || !got.LastTransitionTime.Time.Equal(c.transition) {
			t.Errorf("%s: needed %v, transition %v", name, yes, got.LastTransitionTime)
		}
	}
}

func TestPatchHoldsOneConditionAndNoMore(t *testing.T) {
	var got struct {
		Status map[string][]map[string]any
	}
	if err := json.Unmarshal(patch(condition(overlay{subnet: subnet.Pair{IPv4: ipv4}}, nil)), &got); err != nil {
		t.Fatal(err)
	}
	if c := got.Status["conditions"]; len(got.Status) != 1 || len(c) != 1 || c[0]["type"] != "NetworkUnavailable" || c[0]["status"] != "False" {
		t.Errorf("patch %v", got)
	}
}
