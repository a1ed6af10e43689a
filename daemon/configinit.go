package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
)

// initEvery is the time between two attempts to reach etcd.
const initEvery = 2 * time.Second

// initConfig writes the network configuration if etcd has none. It waits until etcd answers. It keeps an existing
// configuration and warns of a difference. A rollout must not change the network of a running cluster: `config set` does
// that. A node with saved state does not wait, because podlaned starts from that without etcd.
func initConfig(ctx context.Context, c config, store *etcd.Store, file string, io streams) error {
	raw, err := readAll(file, io.in)
	if err != nil {
		return fmt.Errorf("read the network configuration: %w", err)
	}
	want, warnings, err := subnet.ParseNetwork(raw)
	if err != nil {
		return err
	}
	warn(io, warnings)
	if saved, err := loadState(c.stateDir, c.etcd.Prefix); err == nil && saved.Own != "" {
		reportConfig(io, want, saved.Config)
		return nil
	}
	reported := ""
	for {
		have, err := store.AddConfig(ctx, raw)
		switch {
		case err == nil && have == nil:
			fmt.Fprintln(io.out, "the network configuration is written")
			return nil
		case err == nil:
			reportConfig(io, want, have)
			return nil
		case ctx.Err() != nil || errors.Is(err, etcd.ErrDenied):
			return err
		case err.Error() != reported: // once, not with each attempt
			reported = err.Error()
			fmt.Fprintf(io.err, "podlaned: %v; waiting for it\n", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(initEvery):
		}
	}
}

// reportConfig prints whether etcd has the wanted network configuration.
func reportConfig(io streams, want subnet.Network, have []byte) {
	if got, _, err := subnet.ParseNetwork(have); err == nil && got == want {
		fmt.Fprintln(io.out, "the network configuration is in etcd already")
		return
	}
	warn(io, []string{fmt.Sprintf("etcd has another network configuration, which stays in use: %s; `podlaned config set FILE` changes it", have)})
}
