package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"
)

// inside runs do in the network namespace at a path. Its thread never leaves the namespace: it ends with the goroutine, so
// that nothing else runs in the pod.
func inside(path string, do func()) error {
	namespace, err := os.Open(path)
	if err != nil {
		return unreachable(err)
	}
	defer namespace.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return unreachable(fmt.Errorf("enter %s: %w", path, err))
	}
	return nil
}

// unreachable returns an error that is not code 3 (unknown container). After code 3 a runtime may omit the DEL, and the
// delegate has already reserved an address.
func unreachable(err error) error {
	return types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("network namespace of CNI_NETNS: %v", err), "")
}
