package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/podlane/podlane/kernel"

	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/firewall"
	"github.com/podlane/podlane/status"
)

// runCleanup removes all that podlane made on this node: devices, routes, firewall rules and files. It leaves the lease in
// the store. So a reinstalled node gets its pod subnet back, unless the lease has run out.
func runCleanup(ctx context.Context, c config, rest []string, io streams) error {
	if err := errors.Join(noMore(rest), needNetAdmin()); err != nil {
		return err
	}
	unlock, err := lock(ctx, nodeLock)
	if err != nil {
		return fmt.Errorf("%w; stop it first", err)
	}
	defer unlock()
	devices, errDevices := vxlan.Cleanup(ctx)
	rules, errRules := firewall.Cleanup(ctx)
	for _, op := range slices.Concat(devices, rules) {
		fmt.Fprintln(io.out, op)
	}
	errFiles := removeFiles(c, func(path string) {
		fmt.Fprintln(io.out, kernel.Op{Verb: "delete", Object: "file " + path})
	})
	return errors.Join(errDevices, errRules, errFiles)
}

// removeFiles removes podlaned's files, and its folders if they are empty then.
func removeFiles(c config, removed func(path string)) error {
	files := []string{
		filepath.Join(c.runDir, nodeFile), filepath.Join(c.runDir, status.Socket), filepath.Join(c.runDir, channel.Socket),
		filepath.Join(c.stateDir, stateName),
	}
	if c.cniConf != "" {
		files = append(files, c.cniConf)
	}
	var errs []error
	for _, path := range files {
		err := os.Remove(path)
		if err == nil {
			removed(path)
		} else if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, dir := range []string{c.runDir, c.stateDir} {
		_ = os.Remove(dir) // it fails if other programs have files there
	}
	return errors.Join(errs...)
}
