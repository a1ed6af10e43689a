package kubernetes

import (
	"context"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/tests/cluster"
)

// The network tests of Kubernetes 1.35 that a conformant cluster must pass, and those for two families. One more of these
// needs SCTP, which not every kernel has.
const (
	conformanceTests = 47
	dualStackTests   = 22
)

// report is the part of a JUnit report that these tests read.
type report struct {
	Cases []struct {
		Name    string  `xml:"name,attr"`
		Status  string  `xml:"status,attr"`
		Seconds float64 `xml:"time,attr"`
		Failure string  `xml:"failure"`
	} `xml:"testsuite>testcase"`
}

// conformance runs Kubernetes' own network tests that a conformant cluster must pass.
func (k *kube) conformance(t *testing.T) { k.runTests(t, conformanceFocus, conformanceTests) }

// dualStack runs Kubernetes' own network tests for two families.
func (k *kube) dualStack(t *testing.T) {
	k.runTests(t, `\[sig-network\].*\[Feature:IPv6DualStack\]`, dualStackTests)
}

// runTests runs Kubernetes' own tests with a name like this expression. This number of them must pass. The flag -focus
// replaces the expression.
func (k *kube) runTests(t *testing.T, expression string, want int) {
	t.Helper()
	if *focus != "" {
		expression = *focus
	}
	folder := filepath.Join(disks, "conformance")
	cluster.Check(t, os.RemoveAll(folder))
	cluster.Check(t, os.MkdirAll(folder, 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	const bin = "../../bin/kubernetes/"
	kubectl, err := filepath.Abs(bin + "kubectl")
	cluster.Check(t, err)
	cmd := exec.CommandContext(ctx, bin+"ginkgo", "--procs=3", "--no-color", "--timeout=24m", "--focus="+expression, "--skip=SCTPConnectivity", bin+"e2e.test", "--",
		"--kubeconfig="+pki+"/admin.kubeconfig", "--provider=skeleton", "--num-nodes=2", "--node-os-distro=debian",
		"--disable-log-dump", "--dump-logs-on-failure=false", "--report-dir="+folder, "--kubectl-path="+kubectl)
	log, err := os.Create(filepath.Join(folder, "log"))
	cluster.Check(t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 5 * time.Second
	cluster.Check(t, k.nodes[0].net.Start(cmd))
	ended := cmd.Wait()
	data, err := os.ReadFile(filepath.Join(folder, "junit_01.xml"))
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("%v; %v; %s", ended, err, text)
	}
	var r report
	cluster.Check(t, xml.Unmarshal(data, &r))
	passed, failed := 0, 0
	for _, c := range r.Cases {
		switch {
		case !strings.HasPrefix(c.Name, "[It]") || c.Status == "skipped":
		case c.Status == "passed":
			passed++
		default:
			failed++
			t.Errorf("%s: %s after %.0f s: %.1000s", c.Status, c.Name, c.Seconds, c.Failure)
		}
	}
	t.Logf("JUnit: %d passed, %d failed", passed, failed)
	if ended != nil {
		t.Errorf("ginkgo: %v", ended)
	}
	if *focus == "" && passed != want {
		t.Errorf("%d tests passed, want %d", passed, want)
	}
}

// proxy sets the mode of kube-proxy on all nodes.
func (k *kube) proxy(t *testing.T, mode string) {
	t.Helper()
	for _, n := range k.nodes {
		n.install(t, k.cluster, mode)
		n.kill(t, "kube-proxy")
		cluster.Until(t, minute, "kube-proxy on "+n.name+" is in mode "+mode, func() (bool, string) {
			out, err := n.net.Run("curl", "-sS", "--max-time", "2", "http://127.0.0.1:10249/proxyMode")
			return err == nil && out == mode, out
		})
	}
}
