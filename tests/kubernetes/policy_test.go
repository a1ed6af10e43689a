package kubernetes

import (
	"errors"
	"strings"
	"testing"

	"github.com/podlane/podlane/tests/cluster"
)

// patchNodes lets podlane's account patch the resource nodes, and lets kubectl read what it patches. podlane itself may
// only patch nodes/status.
const patchNodes = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-patch-nodes}
rules: [{apiGroups: [""], resources: [nodes, nodes/status], verbs: [get, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: test-patch-nodes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: test-patch-nodes}
subjects: [{kind: ServiceAccount, name: podlane, namespace: podlane}]
`

// otherNodesToken uses the token of podlane's pod on one node to change annotations of all Nodes. The policy of podlane
// allows only its own. A token without a node may change none.
func (k *kube) otherNodesToken(t *testing.T) {
	own := k.nodes[1]
	k.applyText(t, "patch-nodes.yaml", patchNodes)
	defer k.kubectl(t, "delete", "-f", disks+"/patch-nodes.yaml")
	bound := k.kubectl(t, "-n", "podlane", "create", "token", "podlane", "--bound-object-kind=Pod", "--bound-object-name="+k.podOn(t, own, "node"))
	unbound := k.kubectl(t, "-n", "podlane", "create", "token", "podlane")
	const change, undo = `{"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ipv6":"fd00:89::99"}}}`,
		`{"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ipv6":null}}}`
	for _, resource := range [][]string{{"node"}, {"node", "--subresource=status"}} {
		for _, n := range k.nodes {
			if n == own {
				k.expectAllowed(t, bound, n, change, resource...)
				k.expectAllowed(t, bound, n, undo, resource...)
			} else {
				k.expectRefused(t, bound, n, change, resource...)
			}
			k.expectRefused(t, unbound, n, change, resource...)
		}
		k.expectRefused(t, bound, own, `{"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip-overwrite":"10.89.0.99"}}}`, resource...)
	}
	k.expectRefused(t, bound, own, `{"metadata":{"labels":{"test":"x"}}}`, "node")
	k.expectRefused(t, bound, own, `{"spec":{"unschedulable":true}}`, "node")
}

// patch changes a Node with a token.
func (k *kube) patch(t *testing.T, token string, n *node, change string, resource ...string) error {
	t.Helper()
	_, err := k.as(t, token, append([]string{"patch", resource[0], n.name, "--patch=" + change}, resource[1:]...)...)
	if err != nil { // the command has the token
		return errors.New(err.Error()[max(0, strings.Index(err.Error(), "exit status")):])
	}
	return nil
}

func (k *kube) expectAllowed(t *testing.T, token string, n *node, change string, resource ...string) {
	t.Helper()
	if err := k.patch(t, token, n, change, resource...); err != nil {
		t.Errorf("%s %s with the token of its own pod: %s: %v", resource, n.name, change, err)
	}
}

// expectRefused expects that the policy of podlane refuses a change.
func (k *kube) expectRefused(t *testing.T, token string, n *node, change string, resource ...string) {
	t.Helper()
	switch err := k.patch(t, token, n, change, resource...); {
	case err == nil:
		t.Errorf("%s %s was changed, want a refusal: %s", resource, n.name, change)
	case !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'podlane'"):
		t.Errorf("%s %s: want a refusal by the policy podlane, got %v", resource, n.name, err)
	default:
		t.Logf("%s %s: %v", resource, n.name, err)
	}
}

// as runs kubectl with a token.
func (k *kube) as(t *testing.T, token string, args ...string) (string, error) {
	t.Helper()
	return k.nodes[0].net.Run("../../bin/kubernetes/kubectl", append([]string{"--kubeconfig=/dev/null", "--server=https://" + server + ":6443",
		"--certificate-authority=" + pki + "/ca.crt", "--token=" + token, "--request-timeout=30s"}, args...)...)
}

// applyText applies a manifest.
func (k *kube) applyText(t *testing.T, name, text string) {
	t.Helper()
	cluster.Check(t, writeFile(disks+"/"+name, text))
	k.kubectl(t, "apply", "-f", disks+"/"+name)
}
