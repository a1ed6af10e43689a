package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"
)

// delegate replaces this process by the plugin found in path, with the same environment, and conf as standard input. It
// returns only with an error.
func delegate(plugin, path string, conf []byte) error {
	binary, err := find(plugin, path)
	if err != nil {
		return err
	}
	in, err := memoryFile(conf)
	if err != nil {
		return types.NewError(types.ErrIOFailure, err.Error(), "")
	}
	defer in.Close()
	if err := unix.Dup2(int(in.Fd()), 0); err != nil {
		return types.NewError(types.ErrIOFailure, fmt.Sprintf("set standard input: %v", err), "")
	}
	err = unix.Exec(binary, []string{binary}, os.Environ())
	return types.NewError(types.ErrIOFailure, fmt.Sprintf("exec %s: %v", binary, err), "")
}

// find returns a plugin's binary from the folders of path, the value of CNI_PATH (spec, section 4).
func find(plugin, path string) (string, error) {
	for _, folder := range filepath.SplitList(path) {
		binary := filepath.Join(folder, plugin)
		if info, err := os.Stat(binary); err == nil && info.Mode().IsRegular() {
			return binary, nil
		}
	}
	return "", types.NewError(types.ErrInvalidNetworkConfig,
		fmt.Sprintf("the delegate %q is in none of the folders of CNI_PATH: %s", plugin,
			strings.Join(filepath.SplitList(path), ", ")),
		"install the CNI plugins there (containernetworking-plugins), or change the configuration's delegate.type")
}

// memoryFile returns an unnamed file with the data, positioned at its beginning. Unlike a pipe, it holds any size without
// a reader. Kernels before 6.3 do not know MFD_NOEXEC_SEAL. Later ones may require it (sysctl vm.memfd_noexec).
func memoryFile(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("podlane-cni", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("podlane-cni", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("create memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory file")
	if _, err := f.Write(data); err != nil {
		return nil, fmt.Errorf("write memory file: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind memory file: %w", err)
	}
	return f, nil
}

// runDelegate runs the plugin as a child and returns the error it reports.
func runDelegate(binary string, conf []byte, env []string) error {
	in, err := memoryFile(conf)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := memoryFile(nil)
	if err != nil {
		return err
	}
	defer out.Close()
	child, err := os.StartProcess(binary, []string{binary}, &os.ProcAttr{Env: env, Files: []*os.File{in, out, os.Stderr}})
	if err != nil {
		return fmt.Errorf("start %s: %w", binary, err)
	}
	state, err := child.Wait()
	if err != nil {
		return fmt.Errorf("wait for %s: %w", binary, err)
	}
	if state.Success() {
		return nil
	}
	report := &types.Error{}
	answer, err := io.ReadAll(io.NewSectionReader(out, 0, 1<<20))
	if err == nil && json.Unmarshal(answer, report) == nil && report.Msg != "" {
		return report
	}
	return fmt.Errorf("%s: %s", binary, state)
}
