// Package flannel tests that podlane nodes and flannel nodes share one overlay. The flanneld is a real one. The variable
// PODLANE_TEST_FLANNELD has its path. Without it the tests are not run. They restart and remove nodes of both kinds, and count
// the packets between the pods.
package flannel

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

const (
	flanneldVariable   = "PODLANE_TEST_FLANNELD"
	kubernetesVariable = "PODLANE_TEST_KUBE_APISERVER"

	soon = 20 * time.Second // the limit for steps without a promised time
)

var (
	flanneld   = os.Getenv(flanneldVariable)   // path of the program
	kubernetes = os.Getenv(kubernetesVariable) // folder with a kube-apiserver
)

func TestMain(m *testing.M) {
	if flanneld == "" {
		fmt.Println("not run: these tests need a flanneld; give its path in " + flanneldVariable)
		return
	}
	if _, err := exec.LookPath(flanneld); err != nil {
		fmt.Fprintln(os.Stderr, flanneldVariable+":", err)
		os.Exit(1)
	}
	if kubernetes == "" && !sandbox.Inside() {
		fmt.Println("TestKubeAPIServer is not run: give the folder of a kube-apiserver in " + kubernetesVariable)
	}
	sandbox.Main(m)
}
