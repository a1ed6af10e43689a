package settings

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/podlane/podlane/subnet/etcd"
)

// Etcd holds the settings of the lease store.
type Etcd struct {
	Endpoints    List
	Prefix       string
	CAFile       string
	CertFile     string
	KeyFile      string
	Username     string
	PasswordFile string
}

// Flags binds the settings to their flags, and sets the defaults.
func (e *Etcd) Flags(f *flag.FlagSet) {
	e.Endpoints = List{"http://127.0.0.1:2379"}
	f.Var((*endpoints)(&e.Endpoints), "etcd-endpoints", "comma-separated `URLs` of etcd's members")
	e.Prefix = etcd.DefaultPrefix
	f.Var((*prefix)(&e.Prefix), "etcd-prefix", "key `prefix` in etcd; flannel's is /coreos.com/network")
	f.StringVar(&e.CAFile, "etcd-cafile", "", "PEM `file` with the CA of etcd's certificates")
	f.StringVar(&e.CertFile, "etcd-certfile", "", "PEM `file` with this client's certificate")
	f.StringVar(&e.KeyFile, "etcd-keyfile", "", "PEM `file` with the key of the certificate")
	f.StringVar(&e.Username, "etcd-username", "", "`user` in etcd")
	f.StringVar(&e.PasswordFile, "etcd-password-file", "", "`file` with the user's password")
}

// Check returns an error if the settings contradict each other.
func (e Etcd) Check() error {
	switch {
	case (e.CertFile == "") != (e.KeyFile == ""):
		return errors.New("give etcd-certfile and etcd-keyfile, or neither")
	case e.Username != "" && e.PasswordFile == "":
		return errors.New("etcd-username needs etcd-password-file")
	case !strings.HasPrefix(e.Prefix, "/"):
		return fmt.Errorf("etcd-prefix %q is not a path like /podlane/network", e.Prefix)
	}
	return nil
}

// Open opens the lease store. It does not wait for etcd. If observe is not nil, it is called after each call to etcd.
func (e Etcd) Open(observe func(call string, took time.Duration, err error)) (*etcd.Store, error) {
	return etcd.Open(etcd.Config{
		Endpoints:    e.Endpoints,
		Prefix:       e.Prefix,
		CAFile:       e.CAFile,
		CertFile:     e.CertFile,
		KeyFile:      e.KeyFile,
		Username:     e.Username,
		PasswordFile: e.PasswordFile,
		Observe:      observe,
	})
}

// endpoints is a list. White space separates it too: no URL contains any.
type endpoints List

func (e *endpoints) String() string { return (*List)(e).String() }

// Set replaces the list.
func (e *endpoints) Set(s string) error {
	return (*List)(e).Set(strings.Join(strings.Fields(s), ","))
}

// prefix is a path in etcd without a slash at its end.
type prefix string

func (p *prefix) String() string { return string(*p) }

// Set replaces the prefix.
func (p *prefix) Set(s string) error {
	*p = prefix(strings.TrimRight(s, "/"))
	return nil
}
