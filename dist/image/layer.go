package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// layer packs the tree below dir as a gzipped tar. It keeps each file's content and whether it is executable. It drops the
// owner and the time, so the same tree gives the same bytes. The diff id is the digest of the plain tar.
func layer(dir string, modified time.Time) (data []byte, diffID string, err error) {
	var packed bytes.Buffer
	sum, zip := sha256.New(), gzip.NewWriter(&packed)
	w := tar.NewWriter(io.MultiWriter(sum, zip))
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { // in lexical order
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return pack(w, path, tar.Header{Name: name, ModTime: modified, Format: tar.FormatUSTAR})
	})
	if err = errors.Join(err, w.Close(), zip.Close()); err != nil {
		return nil, "", err
	}
	return packed.Bytes(), fmt.Sprintf("sha256:%x", sum.Sum(nil)), nil
}

func pack(w *tar.Writer, path string, h tar.Header) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
		return w.WriteHeader(&h)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file nor a folder", path)
	}
	h.Typeflag, h.Mode = tar.TypeReg, 0o644
	if info.Mode()&0o100 != 0 {
		h.Mode = 0o755
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h.Size = int64(len(data))
	if err := w.WriteHeader(&h); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
