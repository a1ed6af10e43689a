package main

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestConfinement(t *testing.T) {
	for _, c := range []struct {
		label   string
		selinux bool
		want    string
	}{
		{"", false, ""},
		{"unconfined\n", false, ""},
		{"kernel\x00", false, ""},
		{"podlaned (complain)\n", false, ""},
		{"cri-containerd.apparmor.d (enforce)\n", false, "AppArmor's profile cri-containerd.apparmor.d"},
		{"system_u:system_r:container_t:s0:c1,c2\x00", true, "SELinux as system_u:system_r:container_t:s0:c1,c2"},
		{"system_u:system_r:container_t:s0:c1,c2\x00", false, ""},
	} {
		if got := confinement([]byte(c.label), c.selinux); got != c.want {
			t.Errorf("%q, SELinux %v: %q, want %q", c.label, c.selinux, got, c.want)
		}
	}
}

func TestOtherErrorsDoNotNameASecurityModule(t *testing.T) {
	for _, err := range []error{nil, unix.EINVAL, errors.New("no luck")} {
		if got := confined(err); got != err { //nolint:errorlint // it must be the same value
			t.Errorf("%v became %v", err, got)
		}
	}
}
