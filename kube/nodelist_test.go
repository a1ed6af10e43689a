package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const nodeList = `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"x"},"items":[
{"metadata":{"name":"n1","uid":"u1","creationTimestamp":"2026-11-30T10:00:00Z","annotations":{"a":"b"}},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"]},"status":{"images":[{"names":["x"]}]}},
{"metadata":{"name":"n2"},"spec":{}}]}`

func TestNodesAreDecodedOneByOne(t *testing.T) {
	var names []string
	list, err := decodeNodes(strings.NewReader(nodeList), func(n *corev1.Node) {
		names = append(names, n.Name)
		if n.Name == "n1" && (n.UID != "u1" || n.CreationTimestamp.IsZero() || n.Annotations["a"] != "b" || n.Spec.PodCIDRs[0] != "10.244.1.0/24" || n.Spec.PodCIDR != "10.244.1.0/24") {
			t.Errorf("n1 is %+v", n)
		}
	})
	if err != nil || list.ResourceVersion != "7" || list.Continue != "x" || strings.Join(names, " ") != "n1 n2" {
		t.Errorf("%+v, %q, %v", list, names, err)
	}
}

// A list that is truncated at any byte is an error, not a shorter list.
func TestTruncatedList(t *testing.T) {
	for length := range len(nodeList) {
		if list, err := decodeNodes(strings.NewReader(nodeList[:length]), func(*corev1.Node) {}); err == nil {
			t.Fatalf("%d bytes are the list %+v: %s", length, list, nodeList[:length])
		}
	}
	for name, text := range map[string]string{"a page of a proxy": "<html>", "another object": `{"status":"ok"}`, "an array": "[]", "items are no array": `{"metadata":{"resourceVersion":"7"},"items":7}`,
		"a Node is no object": `{"metadata":{"resourceVersion":"7"},"items":[7]}`} {
		if _, err := decodeNodes(strings.NewReader(text), func(*corev1.Node) {}); err == nil {
			t.Errorf("%s is a list: %s", name, text)
		}
	}
}
