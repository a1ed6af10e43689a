// Package settings reads the settings of a command from its flags, the environment and a YAML file. A flag wins over the
// environment, and the environment wins over the file. Each command has flags of its own. One name serves all three: for the
// flag --etcd-prefix, the file has the key etcd-prefix, and the environment the variable PODLANE_ETCD_PREFIX.
package settings

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// List is a comma-separated setting.
type List []string

func (l *List) String() string { return strings.Join(*l, ",") }

// Set replaces the list.
func (l *List) Set(s string) error {
	*l = nil
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// Addr is an IP address, or none.
type Addr struct{ netip.Addr }

func (a Addr) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// Set reads an address; the empty text is none.
func (a *Addr) Set(s string) (err error) {
	if s == "" {
		*a = Addr{}
		return nil
	}
	if a.Addr, err = netip.ParseAddr(s); err != nil {
		return errors.New("want an IP address such as 198.18.0.1")
	}
	return nil
}

// Duration is a length of time. Its error gives an example; the error of the flag package does not.
type Duration struct{ To *time.Duration }

func (d Duration) String() string {
	if d.To == nil {
		return ""
	}
	return d.To.String()
}

// Set reads a duration.
func (d Duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a duration such as 30s or 24h")
	}
	*d.To = v
	return nil
}

// Bool is true or false; the flag alone is true.
type Bool struct{ To *bool }

func (b Bool) String() string { return strconv.FormatBool(b.To != nil && *b.To) }

// Set reads true or false.
func (b Bool) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("want true or false")
	}
	*b.To = v
	return nil
}

// IsBoolFlag allows the flag without a value, which is true.
func (Bool) IsBoolFlag() bool { return true }
