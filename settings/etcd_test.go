package settings

import (
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSettingsOfEtcd(t *testing.T) {
	defaults := Etcd{Endpoints: List{"http://127.0.0.1:2379"}, Prefix: "/podlane/network"}
	for name, c := range map[string]struct {
		args   []string
		change func(*Etcd)
		err    string
	}{
		"defaults":               {nil, func(*Etcd) {}, ""},
		"two endpoints":          {[]string{"--etcd-endpoints=http://a, http://b,"}, func(e *Etcd) { e.Endpoints = List{"http://a", "http://b"} }, ""},
		"separated by a space":   {[]string{"--etcd-endpoints=http://a http://b"}, func(e *Etcd) { e.Endpoints = List{"http://a", "http://b"} }, ""},
		"prefix of flannel":      {[]string{"--etcd-prefix=/coreos.com/network/"}, func(e *Etcd) { e.Prefix = "/coreos.com/network" }, ""},
		"prefix without a slash": {[]string{"--etcd-prefix=podlane"}, func(e *Etcd) { e.Prefix = "podlane" }, "is not a path"},
		"empty prefix":           {[]string{"--etcd-prefix=/"}, func(e *Etcd) { e.Prefix = "" }, "is not a path"},
		"certificate and key":    {[]string{"--etcd-certfile=c", "--etcd-keyfile=k"}, func(e *Etcd) { e.CertFile, e.KeyFile = "c", "k" }, ""},
		"certificate alone":      {[]string{"--etcd-certfile=c"}, func(e *Etcd) { e.CertFile = "c" }, "or neither"},
		"user alone":             {[]string{"--etcd-username=u"}, func(e *Etcd) { e.Username = "u" }, "needs etcd-password-file"},
	} {
		t.Run(name, func(t *testing.T) {
			var got Etcd
			f := flag.NewFlagSet("sample", flag.ContinueOnError)
			got.Flags(f)
			if err := f.Parse(c.args); err != nil {
				t.Fatal(err)
			}
			want := defaults
			c.change(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if err := got.Check(); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got error %v, want %q", err, c.err)
			}
		})
	}
}

func TestOpenNeedsAnEndpoint(t *testing.T) {
	if _, err := (Etcd{Prefix: "/podlane/network"}).Open(nil); err == nil || !strings.Contains(err.Error(), "no endpoint") {
		t.Errorf("got error %v, want one about the endpoint", err)
	}
}
