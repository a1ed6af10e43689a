package firewall

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReleasedLockEndsTheWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	w := watchLock(path)
	defer w.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	use := func() *os.File {
		f, err := os.Open(path)
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 3 {
		use().Close()
		if !w.await(ctx, time.Minute) || ctx.Err() != nil {
			t.Fatalf("the lock was released, but the wait did not end: %v", ctx.Err())
		}
	}
	if !w.await(ctx, time.Millisecond) {
		t.Error("the file is reported as deleted, but it exists")
	}
	held := use()
	defer held.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if w.await(ctx, time.Minute) {
		t.Error("a file that was deleted while it is open is still watched")
	}
}

func TestLockInAMissingFolderIsNotWatched(t *testing.T) {
	w := watchLock(filepath.Join(t.TempDir(), "missing", "lock"))
	defer w.close()
	if w.await(t.Context(), time.Minute) {
		t.Error("the wait reports a file that can be watched")
	}
}

func TestLockWatchEndsWithItsContext(t *testing.T) {
	w := watchLock(filepath.Join(t.TempDir(), "lock"))
	defer w.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	w.await(ctx, time.Hour)
}
