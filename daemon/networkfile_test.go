package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/settings"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/store"
)

func TestNetworkFile(t *testing.T) {
	const good, same, other = `{"Network":"10.5.0.0/16"}`, `{"network":"10.5.0.0/16","SubnetLen":24}`, `{"Network":"10.6.0.0/16"}`
	f := &networkFile{path: filepath.Join(t.TempDir(), "net-conf.json")}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when, config, fault string) {
		t.Helper()
		err := f.read()
		if got := string(f.config()); got != config {
			t.Errorf("%s: configuration %q, want %q", when, got, config)
		}
		if (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: error %v, want %q", when, err, fault)
		}
	}
	expect("missing", "", "no such file")
	write("{")
	expect("half written", "", "net-conf.json: network configuration: ")
	write(good)
	expect("valid", good, "")
	for stored, differs := range map[string]bool{good: false, same: false, other: true} {
		if note := f.difference(parseNetwork(t, stored)); strings.Contains(note, f.path) != differs {
			t.Errorf("etcd has %s: note %q", stored, note)
		}
	}
	if note := f.difference(subnet.Network{}); note != "" {
		t.Errorf("etcd has none: note %q", note)
	}
	write(`{"Network":"10.5.0.0/29"}`)
	expect("invalid again", "", "is too small")
	if note := f.difference(parseNetwork(t, other)); note != "" {
		t.Errorf("an invalid file differs from nothing: note %q", note)
	}
	none := &networkFile{}
	if err := none.read(); err != nil || none.config() != nil {
		t.Errorf("no file is set: error %v, configuration %q", err, none.config())
	}
}

// podlane-kube reads the file then. Its Network may be empty, because kubeadm's configuration has it.
func TestStoreKubernetesDoesNotReadNetworkFile(t *testing.T) {
	for kind, want := range map[storeKind]string{storeEtcd: "/none", storeKubernetes: ""} {
		if got := newNetworkFile(config{store: kind, networkFile: "/none"}).path; got != want {
			t.Errorf("store %s: it reads %q, want %q", kind, got, want)
		}
	}
}

func TestDifferenceFromNetworkFileIsANote(t *testing.T) {
	l, _ := newReadyLoop(t)
	l.file = &networkFile{path: filepath.Join(t.TempDir(), "net-conf.json")}
	if err := os.WriteFile(l.file.path, []byte(`{"Network":"10.6.0.0/16"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.file.read(); err != nil {
		t.Fatal(err)
	}
	l.publish()
	s := l.board.get()
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "the network configuration in etcd differs from network-file") || len(s.Problems) != 0 {
		t.Errorf("notes %q, problems %q; want one note", s.Notes, s.Problems)
	}
}

// The CA is no certificate. Without network-file that ends podlaned. With it, podlaned waits until the CA is correct.
func TestStoreWaitsForACorrectCA(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	makeFile(t, ca, 0o600)
	c := config{etcd: settings.Etcd{Endpoints: settings.List{"https://127.0.0.1:1"}, Prefix: "/p", CAFile: ca}}
	if _, err := openStore(c, &networkFile{}, nil); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("without network-file: error %v, want one about the CA", err)
	}
	c.networkFile = "/none"
	s, err := openStore(c, &networkFile{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	states, ended := make(chan store.State, 100), make(chan error, 1)
	go func() { ended <- s.Run(t.Context(), storeNode{}, func(st store.State) { states <- st }) }()
	select {
	case st := <-states:
		if st.Err == nil || !strings.Contains(st.Err.Error(), "ca.pem") {
			t.Errorf("error %v, want one about the CA", st.Err)
		}
	case err := <-ended:
		t.Errorf("the store ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Error("no state within 20 s")
	}
	s.Close()
}

// The setting names a file. It does not mean the standard input, which a daemon does not have.
func TestNetworkFileIsNotTheStandardInput(t *testing.T) {
	f := newNetworkFile(config{store: storeEtcd, networkFile: "-"})
	if err := f.read(); err == nil || f.config() != nil {
		t.Errorf("read %q, %v; want an error", f.config(), err)
	}
}
