package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"
)

// inside runs do in the network namespace at a path. The thread never leaves the namespace. It ends with the goroutine, so nothing
// else runs in the pod.
func inside(path string, do func()) error {
	namespace, err := os.Open(path)
	if err != nil {
		return namespaceError(err)
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
		return namespaceError(fmt.Errorf("enter %s: %w", path, err))
	}
	return nil
}

// namespaceError returns an error that is not code 3 (unknown container). After code 3 a runtime may omit the DEL. But the
// delegate has already reserved an address.
func namespaceError(err error) error {
	return types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf("network namespace of CNI_NETNS: %v", err), "")
}
