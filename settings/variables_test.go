package settings

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnknownVariables(t *testing.T) {
	const none = " is not a setting, and has no effect"
	for name, c := range map[string]struct {
		environ []string
		want    []string
	}{
		"settings of podlaned and podlane-kube": {environ: []string{"PODLANE_IFACE=eth0", "PODLANE_GRACE=1m", "PODLANE_JSON=true", "PODLANE_KUBECONFIG="}},
		"other programs' variables":             {environ: []string{"PATH=/bin", "NODE_NAME=n1", "podlane_iface=x", "MYPODLANE_X=1", "PODLANE"}},
		"Services": {environ: []string{
			"PODLANE_SERVICE_HOST=10.96.0.9", "PODLANE_SERVICE_PORT=80", "PODLANE_SERVICE_PORT_HTTP=80", "PODLANE_PORT=tcp://10.96.0.9:80",
			"PODLANE_PORT_80_TCP=tcp://10.96.0.9:80", "PODLANE_ETCD_SERVICE_HOST=10.96.0.8", "PODLANE_ETCD_SERVICE_PORT_CLIENT=2379",
			"PODLANE_ETCD_PORT_2379_TCP_ADDR=10.96.0.8", "PODLANE_METRICS_PORT=tcp://10.96.0.7:9473",
		}},
		"another word":        {[]string{"PODLANE_INTERFACE=eth0"}, []string{`the variable "PODLANE_INTERFACE"` + none + "; do you mean PODLANE_IFACE?"}},
		"a letter is missing": {[]string{"PODLANE_ETCD_ENDPOINT=x"}, []string{`the variable "PODLANE_ETCD_ENDPOINT"` + none + "; do you mean PODLANE_ETCD_ENDPOINTS?"}},
		"the end is missing":  {[]string{"PODLANE_ETCD_PASSWO=x"}, []string{`the variable "PODLANE_ETCD_PASSWO"` + none + "; do you mean PODLANE_ETCD_PASSWORD_FILE?"}},
		"a beginning":         {[]string{"PODLANE_BR="}, []string{`the variable "PODLANE_BR"` + none + "; do you mean PODLANE_BRIDGE_NETFILTER?"}},
		"small letters":       {[]string{"PODLANE_iface=x"}, []string{`the variable "PODLANE_iface"` + none}},
		"nothing is near":     {[]string{"PODLANE_QQQQ=x"}, []string{`the variable "PODLANE_QQQQ"` + none}},
		"no name":             {[]string{"PODLANE_=x"}, []string{`the variable "PODLANE_"` + none}},
		"two, one of them twice": {[]string{"PODLANE_QQ=x", "PODLANE_LOGLEVEL=secret", "PODLANE_QQ=y"}, []string{
			`the variable "PODLANE_LOGLEVEL"` + none + "; do you mean PODLANE_LOG_LEVEL?", `the variable "PODLANE_QQ"` + none,
		}},
		"control characters": {[]string{"PODLANE_\x1b[2J=x"}, []string{`the variable "PODLANE_\x1b[2J"` + none}},
		"a very long name":   {[]string{"PODLANE_" + strings.Repeat("Q", 1e5)}, []string{`the variable "PODLANE_` + strings.Repeat("Q", 92) + `"` + none}},
	} {
		if diff := cmp.Diff(c.want, UnknownVariables(c.environ)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
