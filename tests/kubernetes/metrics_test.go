package kubernetes

import (
	"strings"
	"testing"
)

const metricsPort = "9473"

// scrape lets a pod get the metrics of all nodes, as Prometheus does. It gets nothing else there.
func (k *kube) scrape(t *testing.T) {
	for _, p := range k.trafficPods(t, k.nodes...) {
		for _, n := range k.nodes {
			place := "http://" + n.address + ":" + metricsPort
			if out := fetch(t, p.Namespace, place+"/metrics"); !strings.Contains(out, "\npodlane_peers{") {
				t.Errorf("%s/metrics: want podlane's metrics, got %.200s", place, out)
			}
			out, err := p.Run("curl", "-sS", "--fail", "--max-time", "5", place+"/status")
			if err == nil {
				t.Errorf("%s/status: want only /metrics, got %.200s", place, out)
			}
			out, err = p.Run("curl", "-sS", "--fail", "--max-time", "2", "http://"+n.address+":9472/metrics")
			if err == nil {
				t.Errorf("%s:9472: want no answer to a pod, got %.200s", n.address, out)
			}
		}
	}
}
