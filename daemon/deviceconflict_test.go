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
		if err := adviseOnConflict(x.err); !errors.Is(err, x.err) || (err != x.err) != x.want { //nolint:errorlint // the error itself, not wrapped
			t.Errorf("%v: advice %v", x.err, err)
		}
	}
}
