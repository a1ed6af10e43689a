package main

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDeviceConflict(t *testing.T) {
	for _, x := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{unix.EPERM, false},
		{fmt.Errorf("IPv4 overlay: add device: %w", unix.EEXIST), true},
		{errors.Join(errors.New("other"), fmt.Errorf("raise: %w", unix.EADDRINUSE)), true},
	} {
		if got := isDeviceConflict(x.err); got != x.want {
			t.Errorf("%v: is a conflict: %v", x.err, got)
		}
		if err := adviseOnConflict(x.err, storeEtcd); !errors.Is(err, x.err) || (err != x.err) != x.want { //nolint:errorlint // the error itself, not wrapped
			t.Errorf("%v: advice %v", x.err, err)
		}
	}
}

func TestAdviceOnADeviceConflictNamesTheStore(t *testing.T) {
	for kind, want := range map[storeKind]string{
		storeEtcd:       "file exists; remove it with `ip link delete DEVICE`, or give the pod network another VNI or port with `podlaned config set`",
		storeKubernetes: "file exists; remove it with `ip link delete DEVICE`, or give the pod network another VNI or port in the ConfigMap podlane-network",
	} {
		if got := adviseOnConflict(unix.EEXIST, kind); got.Error() != want {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}
