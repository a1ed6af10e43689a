package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestSecondPodlanedOfANode(t *testing.T) {
	name := fmt.Sprintf("@podlaned-test-%d", os.Getpid())
	unlock, err := lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another podlaned runs on this node: its process is %d", os.Getpid())
	if os.Getuid() != 0 {
		want = fmt.Sprintf("another podlaned runs on this node: process %d of user %d ", os.Getpid(), os.Getuid())
	}
	if _, err := lock(t.Context(), name); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("second lock: got error %v, want one that begins with %q", err, want)
	}
	unlock()
	unlock, err = lock(t.Context(), name)
	if err != nil {
		t.Fatalf("after the unlock: %v", err)
	}
	unlock()
	if _, err := lock(t.Context(), "/none/x"); err == nil || !strings.Contains(err.Error(), "lock the node") {
		t.Errorf("no folder for the socket: got error %v, want one about the lock", err)
	}
}
