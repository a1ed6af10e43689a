package main

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// list is a comma-separated setting.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set replaces the list.
func (l *list) Set(s string) error {
	*l = nil
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// addr is an address, or none.
type addr struct{ netip.Addr }

func (a addr) String() string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr.String()
}

// Set reads an address; the empty text is none.
func (a *addr) Set(s string) (err error) {
	if s == "" {
		*a = addr{}
		return nil
	}
	if a.Addr, err = netip.ParseAddr(s); err != nil {
		return errors.New("want an IP address such as 198.18.0.1")
	}
	return nil
}

// duration is a length of time. The flag package has one, whose error does not say what it wants.
type duration struct{ to *time.Duration }

func (d duration) String() string {
	if d.to == nil {
		return ""
	}
	return d.to.String()
}

// Set reads a duration.
func (d duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a duration such as 30s or 24h")
	}
	*d.to = v
	return nil
}

// boolean is yes or no; the flag alone is yes.
type boolean struct{ to *bool }

func (b boolean) String() string { return strconv.FormatBool(b.to != nil && *b.to) }

// Set reads a boolean.
func (b boolean) Set(s string) error {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("want true or false")
	}
	*b.to = v
	return nil
}

// IsBoolFlag lets the flag stand without a value.
func (boolean) IsBoolFlag() bool { return true }
