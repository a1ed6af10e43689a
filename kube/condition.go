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

// maxMessage bounds a condition's message in bytes; the API server takes 32 KiB of all kinds of objects' conditions.
const maxMessage = 1024

// condition is what NetworkUnavailable should say. While it is True the node lifecycle controller keeps the taint
// node.kubernetes.io/network-unavailable:NoSchedule on the Node: no new pod comes, and those that run stay. So it is True
// only while no pod could be attached; that podlaned is being upgraded, or etcd is away, is not a reason.
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
	if len(c.Message) > maxMessage {
		c.Message = strings.ToValidUTF8(c.Message[:maxMessage], "")
	}
	return c
}

// unusedPodCIDR explains a podCIDR of the controller manager's that is not what podlane has leased; nothing where there is
// none to explain.
func unusedPodCIDR(leased subnet.Pair, podCIDRs []string) string {
	other := slices.DeleteFunc(slices.Clone(podCIDRs), func(text string) bool {
		p, err := netip.ParsePrefix(text)
		return err == nil && p == leased.Half(subnet.FamilyOf(p.Addr()))
	})
	if len(other) == 0 {
		return ""
	}
	return fmt.Sprintf("podCIDR %s comes from kube-controller-manager and is not used: its flag --allocate-node-cidrs=false ends that", strings.Join(other, ","))
}

// needed tells whether a Node's condition has to be written, and fills in its times: the transition is that of the status.
func needed(have []corev1.NodeCondition, want corev1.NodeCondition, now time.Time) (corev1.NodeCondition, bool) {
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

// patch is the strategic merge patch that writes one condition and leaves the others alone: they are merged by their types.
func patch(c corev1.NodeCondition) []byte {
	data, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{c}}})
	if err != nil {
		panic(err) // strings and times: it cannot fail
	}
	return data
}
