package localsocket

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

func TestSocketIsNeverOpenToMoreUsers(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		for _, mode := range []fs.FileMode{0o600, 0o660} {
			t.Run(fmt.Sprintf("umask %o, mode %o", umask, mode), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "run", "x.sock")
				defer syscall.Umask(syscall.Umask(umask))
				ctx, cancel := context.WithCancel(t.Context())
				var watcher sync.WaitGroup
				watcher.Go(func() {
					for ctx.Err() == nil {
						if info, err := os.Lstat(path); err == nil && info.Mode()&^mode != fs.ModeSocket {
							t.Errorf("the mode was %v for a moment", info.Mode())
							return
						}
					}
				})
				defer watcher.Wait()
				defer cancel()
				for range 100 {
					l, err := Listen(t.Context(), path, mode)
					if err != nil {
						t.Fatal(err)
					}
					if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|mode {
						t.Fatalf("mode %v, %v", info.Mode(), err)
					}
					l.Close()
				}
			})
		}
	}
}
