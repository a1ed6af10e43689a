package flannel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/apiserver"
	"github.com/podlane/podlane/tests/authority"
	"github.com/podlane/podlane/tests/cluster"
)

// apiServer is an API server of Kubernetes, of either kind.
type apiServer interface {
	createNode(t *testing.T, name string, podCIDRs ...string)
	node(t *testing.T, name string) apiserver.Node
	annotate(t *testing.T, name, key, value string) // an empty value removes the annotation
	deleteNode(t *testing.T, name string)
	kubeconfig(user string) []byte
	stop(t *testing.T) // it is away until start
	start(t *testing.T)
}

// A Node has an annotation of the kubelet. Without any annotation flanneld panics.
const kubeletAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach"

// inMemory is the lab's API server. It knows no users.
type inMemory struct{ *apiserver.Server }

func (s inMemory) createNode(_ *testing.T, name string, podCIDRs ...string) {
	s.SetNode(name, podCIDRs...)
	s.Annotate(name, kubeletAnnotation, "true")
}

func (s inMemory) node(t *testing.T, name string) apiserver.Node {
	t.Helper()
	n, found := s.Node(name)
	if !found {
		t.Fatalf("there is no Node %s", name)
	}
	return n
}

func (s inMemory) annotate(_ *testing.T, name, key, value string) { s.Annotate(name, key, value) }
func (s inMemory) deleteNode(_ *testing.T, name string)           { s.DeleteNode(name) }
func (s inMemory) kubeconfig(string) []byte                       { return s.Kubeconfig(nil, "") }
func (s inMemory) stop(t *testing.T)                              { cluster.Check(t, s.Refuse()) }
func (s inMemory) start(t *testing.T)                             { cluster.Check(t, s.Accept()) }

// kubeAPIServer is a kube-apiserver with an etcd, on the lab's router.
type kubeAPIServer struct {
	url    string
	folder string // of its files
	ca     []byte // in PEM
	client *http.Client
	args   []string
	daemon *process
}

// users have a token each, which is the name.
var users = []string{"admin", "flannel", "podlane"}

// roles are the rules of the users. Those of flannel are the ones of its manifest.
var roles = map[string]string{
	"flannel": `[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]},
		{"apiGroups":[""],"resources":["nodes"],"verbs":["get","list","watch"]},
		{"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]}]`,
	"podlane": `[{"apiGroups":[""],"resources":["nodes"],"verbs":["list","watch"]},
		{"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]},
		{"apiGroups":[""],"resources":["configmaps"],"verbs":["get"]},
		{"apiGroups":[""],"resources":["events"],"verbs":["create","patch"]}]`,
}

// startKubeAPIServer starts a kube-apiserver and its etcd, and waits until it serves.
func startKubeAPIServer(t *testing.T, program, address string) *kubeAPIServer {
	t.Helper()
	const port = "6444" // the lab's own API server has 6443
	s := &kubeAPIServer{url: "https://" + net.JoinHostPort(address, port), folder: t.TempDir()}
	s.startEtcd(t)
	s.writeFiles(t, address)
	s.args = []string{program,
		"--etcd-servers=" + etcdURL, "--bind-address=" + address, "--advertise-address=" + address, "--secure-port=" + port,
		"--tls-cert-file=" + s.file("server.crt"), "--tls-private-key-file=" + s.file("server.key"), "--token-auth-file=" + s.file("tokens"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + s.file("ca.key"),
		"--service-account-signing-key-file=" + s.file("ca.key"), "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC",
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of kube-apiserver's log:\n%s", s.daemon.tail())
		}
		s.stop(t)
	})
	s.start(t)
	for user, rules := range roles {
		s.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterroles", fmt.Sprintf(`{"metadata":{"name":%q},"rules":%s}`, user, rules))
		s.create(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", fmt.Sprintf(`{"metadata":{"name":%[1]q},
			"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%[1]q},
			"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%[1]q}]}`, user))
	}
	return s
}

const etcdURL = "http://127.0.0.1:2379"

// startEtcd starts the etcd of the kube-apiserver. It ends with the test.
func (s *kubeAPIServer) startEtcd(t *testing.T) {
	t.Helper()
	peer := "http://127.0.0.1:2380"
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "../../bin/lab", "etcd", "--name", "api", "--data", s.file("etcd"),
		"--client", etcdURL, "--peer", peer, "--cluster", "api="+peer)
	etcd := launch(t, "etcd", s.file("etcd.log"), cmd, (*exec.Cmd).Start)
	t.Cleanup(func() { etcd.stop(t, syscall.SIGKILL) })
}

// stop kills the kube-apiserver, because otherwise it would wait for its clients.
func (s *kubeAPIServer) stop(t *testing.T) {
	t.Helper()
	s.daemon.stop(t, syscall.SIGKILL)
}

// start starts the kube-apiserver, also after stop.
func (s *kubeAPIServer) start(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), s.args[0], s.args[1:]...)
	s.daemon = launch(t, "kube-apiserver", s.file("log"), cmd, (*exec.Cmd).Start)
	s.daemon.await(t, time.Minute, "ready", func() (bool, string) {
		out, err := s.do(t, http.MethodGet, "/readyz", "", "")
		return err == nil, fmt.Sprint(out, err)
	})
}

// writeFiles writes the certificates and the tokens.
func (s *kubeAPIServer) writeFiles(t *testing.T, address string) {
	t.Helper()
	ca := authority.New(t, "kubernetes", 24*time.Hour)
	server := ca.Sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{net.ParseIP(address)}, DNSNames: []string{"kubernetes"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	ca.Write(t, s.file("ca.crt"), s.file("ca.key"))
	server.Write(t, s.file("server.crt"), s.file("server.key"))
	tokens := ""
	for i, user := range users {
		group := ""
		if user == "admin" {
			group = ",system:masters"
		}
		tokens += fmt.Sprintf("%[1]s,%[1]s,%d%s\n", user, i, group)
	}
	cluster.Check(t, os.WriteFile(s.file("tokens"), []byte(tokens), 0o600))
	s.ca = ca.CertPEM
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

func (s *kubeAPIServer) file(name string) string { return filepath.Join(s.folder, name) }

func (s *kubeAPIServer) kubeconfig(user string) []byte {
	ca := base64.StdEncoding.EncodeToString(s.ca)
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
		"clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority-data":%q}}],
		"users":[{"name":"u","user":{"token":%q}}],
		"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`, s.url, ca, user)
}

// do sends a request as the admin, and returns the body of the answer.
func (s *kubeAPIServer) do(t *testing.T, method, path, kind, body string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(cluster.Within(t), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer admin")
	r.Header.Set("Content-Type", kind)
	answer, err := s.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return string(text), err
}

func (s *kubeAPIServer) create(t *testing.T, path, object string) {
	t.Helper()
	_, err := s.do(t, http.MethodPost, path, "application/json", object)
	cluster.Check(t, err)
}

func (s *kubeAPIServer) createNode(t *testing.T, name string, podCIDRs ...string) {
	t.Helper()
	list, err := json.Marshal(podCIDRs)
	cluster.Check(t, err)
	s.create(t, "/api/v1/nodes", fmt.Sprintf(`{"metadata":{"name":%q,"annotations":{%q:"true"}},"spec":{"podCIDR":%q,"podCIDRs":%s}}`,
		name, kubeletAnnotation, podCIDRs[0], list))
}

func (s *kubeAPIServer) node(t *testing.T, name string) apiserver.Node {
	t.Helper()
	text, err := s.do(t, http.MethodGet, nodePath(name), "", "")
	cluster.Check(t, err)
	var n struct {
		Metadata struct{ Annotations map[string]string }
		Status   struct{ Conditions []apiserver.Condition }
	}
	cluster.Check(t, json.Unmarshal([]byte(text), &n))
	return apiserver.Node{Name: name, Annotations: n.Metadata.Annotations, Conditions: n.Status.Conditions}
}

func (s *kubeAPIServer) annotate(t *testing.T, name, key, value string) {
	t.Helper()
	var wanted *string // null removes it
	if value != "" {
		wanted = &value
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]*string{key: wanted}}})
	cluster.Check(t, err)
	_, err = s.do(t, http.MethodPatch, nodePath(name), "application/merge-patch+json", string(patch))
	cluster.Check(t, err)
}

func (s *kubeAPIServer) deleteNode(t *testing.T, name string) {
	t.Helper()
	_, err := s.do(t, http.MethodDelete, nodePath(name), "", "")
	cluster.Check(t, err)
}

func nodePath(name string) string { return "/api/v1/nodes/" + url.PathEscape(name) }
