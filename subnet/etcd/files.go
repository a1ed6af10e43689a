package etcd

import (
	"sync"

	"google.golang.org/grpc"
)

// files holds the files that Config names: the CA, the certificate with its key, and the password. Each is read again for
// each use. A file that cannot be used is a fault. Its former content then stays in use, because another program may be
// replacing the file.
type files []interface {
	refresh()
	fault() string
}

// open reads all files for the first time, and returns the gRPC options by which connections and calls use them.
func (fs *files) open(cfg Config, secure bool) (options []grpc.DialOption, err error) {
	identity, err := fs.credentials(cfg, secure)
	if err != nil {
		return nil, err
	}
	if identity != nil {
		options = append(options, grpc.WithTransportCredentials(identity))
	}
	password, err := fs.password(cfg)
	if err != nil {
		return nil, err
	}
	if password != nil {
		options = append(options, grpc.WithChainUnaryInterceptor(password.intercept))
	}
	return options, nil
}

// refresh reads all files again, so that a fault shows before the next connection needs the file.
func (fs files) refresh() {
	for _, f := range fs {
		f.refresh()
	}
}

// faults returns a sentence for each file whose last read failed.
func (fs files) faults() (faults []string) {
	for _, f := range fs {
		if fault := f.fault(); fault != "" {
			faults = append(faults, fault+"; the content that was read before stays in use until the file is correct")
		}
	}
	return faults
}

// file is a file, or two that belong together, and the last content that could be used.
type file[T any] struct {
	load func() (T, error)

	mu   sync.Mutex
	last T
	err  error // of the last read
}

// openFile reads a file for the first time. An error is final then.
func openFile[T any](load func() (T, error)) (*file[T], error) {
	first, err := load()
	return &file[T]{load: load, last: first}, err
}

// content reads the file again and returns the newest usable content.
func (f *file[T]) content() T {
	newest, err := f.load()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		f.last = newest
	}
	return f.last
}

func (f *file[T]) refresh() { f.content() }

func (f *file[T]) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return text(f.err)
}
