package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podlane/podlane/subnet"
)

// The reasons of the condition NetworkUnavailable.
const (
	reasonUp   = "PodlaneIsUp"
	reasonDown = "PodlaneIsNotUp"
)

// maxMessage bounds the message of a condition, in bytes. The API server accepts 32 KiB.
const maxMessage = 1024

// condition returns the correct condition NetworkUnavailable. It is True only while no pod can be attached. The node lifecycle
// controller then keeps the taint node.kubernetes.io/network-unavailable:NoSchedule on the Node. The Node gets no new pods,
// and running pods stay. An upgrade of podlaned or an outage of etcd is not a reason.
func condition(o overlay, podCIDRs []string) corev1.NodeCondition {
	c := corev1.NodeCondition{
		Type:    corev1.NodeNetworkUnavailable,
		Status:  corev1.ConditionFalse,
		Reason:  reasonUp,
		Message: "podlane is up: the pod subnet is " + o.subnet.String(),
	}
	if o.subnet.IsZero() {
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, reasonDown, "podlane is not up: "+o.reason
	} else if why := unusedPodCIDR(o.subnet, podCIDRs); why != "" {
		c.Message += "; " + why
	}
	c.Message = cut(c.Message, maxMessage)
	return c
}

// unusedPodCIDR explains a podCIDR from the controller manager that podlane does not use. It returns nothing if podlane has
// leased every podCIDR.
func unusedPodCIDR(leased subnet.Pair, podCIDRs []string) string {
	other := slices.DeleteFunc(slices.Clone(podCIDRs), func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && p == leased.Half(subnet.FamilyOf(p.Addr()))
	})
	if len(other) == 0 {
		return ""
	}
	return fmt.Sprintf("podCIDR %s from kube-controller-manager is not used; start kube-controller-manager with --allocate-node-cidrs=false", strings.Join(other, ","))
}

// withTimes returns a condition with its times. It reports whether the condition must be written. The transition is the last
// change of its status.
func withTimes(have []corev1.NodeCondition, want corev1.NodeCondition, now time.Time) (corev1.NodeCondition, bool) {
	want.LastHeartbeatTime, want.LastTransitionTime = metav1.NewTime(now), metav1.NewTime(now)
	i := slices.IndexFunc(have, func(c corev1.NodeCondition) bool { return c.Type == want.Type })
	if i < 0 {
		return want, true
	}
	if have[i].Status == want.Status {
		want.LastTransitionTime = have[i].LastTransitionTime
	}
	return want, have[i].Status != want.Status || have[i].Reason != want.Reason || have[i].Message != want.Message
}

// patch returns the strategic merge patch that writes one condition. The API server merges conditions by type, so the others
// stay.
func patch(c corev1.NodeCondition) []byte {
	data, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{c}}})
	if err != nil {
		panic(err) // it cannot fail: there are only strings and times
	}
	return data
}
