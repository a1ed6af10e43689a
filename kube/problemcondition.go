package main

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// podNetworkProblem is the type of the Node's condition with podlane's faults on this node.
const podNetworkProblem corev1.NodeConditionType = "PodNetworkProblem"

// The reasons of the condition PodNetworkProblem. If there is one fault, the reason is its kind.
const (
	reasonNoProblem = "NoProblem"
	reasonSeveral   = "SeveralProblems"
)

// leastFaultText is the minimum length of a cut fault, in bytes. With ten faults, the message still has all of them.
const leastFaultText = 80

// problemCondition returns the condition PodNetworkProblem for faults.
func problemCondition(faults []nodeFault) corev1.NodeCondition {
	c := corev1.NodeCondition{Type: podNetworkProblem, Status: corev1.ConditionFalse, Reason: reasonNoProblem, Message: "podlane reports no problem on this node"}
	if len(faults) == 0 {
		return c
	}
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.String()
	}
	limit := max(leastFaultText, fairLimit(texts, maxMessage-len("10 problems: ")-len(texts)*len("; ")))
	for i := range texts {
		texts[i] = cut(texts[i], limit)
	}
	c.Status, c.Reason, c.Message = corev1.ConditionTrue, faults[0].reason(), texts[0]
	if len(faults) > 1 {
		c.Reason, c.Message = reasonSeveral, cut(fmt.Sprintf("%d problems: %s", len(faults), strings.Join(texts, "; ")), maxMessage)
	}
	return c
}

// fairLimit returns how many bytes each text may have, so that all have at most this many together. Short texts leave the rest
// of their share to long ones.
func fairLimit(texts []string, most int) int {
	sizes := make([]int, len(texts))
	for i, text := range texts {
		sizes[i] = len(text)
	}
	slices.Sort(sizes)
	for i, size := range sizes {
		if share := most / (len(sizes) - i); size > share {
			return share
		}
		most -= size
	}
	return maxMessage
}
