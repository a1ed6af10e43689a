package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
)

// initEvery is how long to wait before etcd is asked again.
const initEvery = 2 * time.Second

// initConfig writes the network configuration where there is none, and waits for etcd to do so. One that is there stays,
// and a difference is said: changing the network of a running cluster is `config set`, and never what a rollout does by
// the way. A node that was in the network before does not wait: podlaned starts from its saved state without etcd.
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
		tellConfig(io, want, saved.Config)
		return nil
	}
	said := ""
	for {
		have, err := store.AddConfig(ctx, raw)
		switch {
		case err == nil && have == nil:
			fmt.Fprintln(io.out, "the network configuration is written")
			return nil
		case err == nil:
			tellConfig(io, want, have)
			return nil
		case ctx.Err() != nil || errors.Is(err, etcd.ErrDenied):
			return err
		case err.Error() != said: // once, not every time
			said = err.Error()
			fmt.Fprintf(io.err, "podlaned: %v; waiting for it\n", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(initEvery):
		}
	}
}

// tellConfig says whether the network configuration that is in use is the one that was wanted.
func tellConfig(io streams, want subnet.Network, have []byte) {
	if got, _, err := subnet.ParseNetwork(have); err == nil && got == want {
		fmt.Fprintln(io.out, "the network configuration is in etcd already")
		return
	}
	warn(io, []string{fmt.Sprintf("etcd has another network configuration, which stays in use: %s; `podlaned config set FILE` changes it", have)})
}
