package main

import (
	"context"
	"errors"
	"fmt"
	stdio "io"
	"os"

	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/etcd"
	"github.com/podlane/podlane/subnet/kubernetes"
)

// maxConfig bounds the network configuration, in bytes. A usual one has about 200.
const maxConfig = 64 << 10

// runConfig reads or writes the network configuration in etcd, so that the operator does not need etcdctl.
func runConfig(ctx context.Context, c config, rest []string, io streams) error {
	if c.store == storeKubernetes {
		return fmt.Errorf("with store %s the network configuration is net-conf.json in the ConfigMap %s: change it in podlane.yaml or in the value network of the chart, and apply that; `podlaned status` has a note until podlaned is restarted",
			c.store, kubernetes.ConfigMap)
	}
	store, err := c.etcd.Open(nil)
	if err != nil {
		return err
	}
	defer store.Close()
	switch {
	case len(rest) == 1 && rest[0] == "get":
		return explain(c, getConfig(ctx, store, io))
	case len(rest) == 2 && rest[0] == "set":
		return explain(c, setConfig(ctx, store, rest[1], io))
	}
	return fmt.Errorf("%w: podlaned config get, or podlaned config set FILE (- is standard input)", errUsage)
}

func getConfig(ctx context.Context, store *etcd.Store, io streams) error {
	raw, _, err := store.Config(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(io.out, "%s\n", raw)
	_, warnings, err := subnet.ParseNetwork(raw)
	warn(io, warnings)
	return err
}

func setConfig(ctx context.Context, store *etcd.Store, file string, io streams) error {
	raw, err := readAll(file, io.in)
	if err != nil {
		return fmt.Errorf("read the network configuration: %w", err)
	}
	_, warnings, err := subnet.ParseNetwork(raw)
	if err != nil {
		return err
	}
	warn(io, warnings)
	if err := store.SetConfig(ctx, raw); err != nil {
		return err
	}
	fmt.Fprintln(io.out, "the network configuration is written; restart podlaned on the nodes to use it")
	return nil
}

func readAll(file string, in stdio.Reader) ([]byte, error) {
	if file == "-" {
		return readLimited(in)
	}
	return readFile(file)
}

// readFile reads a file of at most maxConfig bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f)
}

func readLimited(in stdio.Reader) ([]byte, error) {
	raw, err := stdio.ReadAll(stdio.LimitReader(in, maxConfig+1))
	if err == nil && len(raw) > maxConfig {
		err = errors.New("it is larger than 64 KiB")
	}
	return raw, err
}

func warn(io streams, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(io.err, "podlaned: warning: %s\n", w)
	}
}
