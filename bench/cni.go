package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
)

// plugin is a CNI plugin with its configuration and the times of its calls.
type plugin struct {
	name, path string
	search     string // CNI_PATH
	conf       map[string]any
	took       map[string]*series // by command
	results    []json.RawMessage  // of ADD, one for each pod
}

// cni measures attaching, checking and detaching 200 pods.
func cni(ctx context.Context, b bench) (s Section, err error) {
	pods := 200
	if b.quick {
		pods = 10
	}
	w, err := makeWorld(ctx, b)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n := w.Nodes[0]
	d, err := startDaemon(ctx, n)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	plugins, err := makePlugins(ctx, b, n, dir)
	if err != nil {
		return s, err
	}
	spaces, err := makeSpaces(pods * len(plugins))
	defer func() { err = errors.Join(err, deleteSpaces(spaces)) }()
	if err != nil {
		return s, err
	}
	for _, command := range commands {
		var calls []func() error
		for j, p := range plugins {
			calls = append(calls, func() error {
				pod := len(*p.took[command])
				return p.call(ctx, n, command, pod, spaces[pod*len(plugins)+j])
			})
		}
		if err := rounds(pods, calls...); err != nil {
			return s, err
		}
	}
	return cniSection(pods, plugins), nil
}

var commands = []string{"ADD", "CHECK", "DEL"}

// makeSpaces makes n namespaces. After an error it returns those that exist.
func makeSpaces(n int) (all []sandbox.Namespace, err error) {
	for i := range n {
		s, err := sandbox.New(fmt.Sprintf("pod%d", i))
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

func deleteSpaces(all []sandbox.Namespace) (err error) {
	for _, s := range all {
		err = errors.Join(err, s.Delete())
	}
	return err
}

// makePlugins returns the plugins to compare: podlane-cni with bridge, bridge, host-local, podlane-cni with an empty
// program, and that program. In dir the empty program has bridge's name, so podlane-cni does all that it does for
// bridge.
func makePlugins(ctx context.Context, b bench, n *lab.Node, dir string) ([]*plugin, error) {
	if err := os.Symlink(filepath.Join(b.bin, "_empty"), filepath.Join(dir, "bridge")); err != nil {
		return nil, err
	}
	own := map[string]any{"cniVersion": "1.0.0", "name": "whole", "type": "podlane-cni", "nodeFile": n.NodeFile(), "delegate": map[string]any{"ipam": map[string]any{"dataDir": n.IPAMDir()}}}
	bridge, err := translated(ctx, b, n, own)
	if err != nil {
		return nil, err
	}
	bridge["name"] = "alone"
	ipam := map[string]any{"cniVersion": "1.0.0", "name": "addresses", "ipam": bridge["ipam"]}
	shim, real := filepath.Join(b.bin, "podlane-cni"), filepath.Join(b.bin, "cni")
	plugins := []*plugin{
		{name: "podlane-cni and bridge", path: shim, search: real, conf: own},
		{name: "bridge alone", path: filepath.Join(real, "bridge"), search: real, conf: bridge},
		{name: "host-local alone", path: filepath.Join(real, "host-local"), search: real, conf: ipam},
		{name: "podlane-cni and an empty Go program", path: shim, search: dir, conf: own},
		{name: "exec of an empty Go program", path: filepath.Join(dir, "bridge"), search: dir, conf: own},
	}
	for _, p := range plugins {
		p.took = map[string]*series{"ADD": {}, "CHECK": {}, "DEL": {}}
	}
	return plugins, nil
}

// translated returns the configuration that podlane-cni gives to bridge. A delegate stores what it reads.
func translated(ctx context.Context, b bench, n *lab.Node, conf map[string]any) (map[string]any, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(filepath.Join(dir, "bridge"), []byte("#!/bin/sh\ncat >"+file+"\necho '{}'\n"), 0o755); err != nil {
		return nil, err
	}
	p := plugin{path: filepath.Join(b.bin, "podlane-cni"), conf: conf}
	if _, err := p.exec(ctx, n, "ADD", "x", "/nowhere", dir, nil); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var got map[string]any
	return got, json.Unmarshal(text, &got)
}

// call runs the plugin for the i-th pod and records the time.
func (p *plugin) call(ctx context.Context, n *lab.Node, command string, i int, pod sandbox.Namespace) error {
	var previous json.RawMessage
	if command != "ADD" && len(p.results) > i {
		previous = p.results[i]
	}
	began := time.Now()
	out, err := p.exec(ctx, n, command, fmt.Sprintf("%s-%d", p.conf["name"], i), pod.Path(), p.search, previous)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, command, err)
	}
	p.took[command].addTime(time.Since(began))
	if command == "ADD" && len(out) > 0 {
		p.results = append(p.results, out)
	}
	return nil
}

func (p *plugin) exec(ctx context.Context, n *lab.Node, command, id, netns, path string, previous json.RawMessage) ([]byte, error) {
	conf := maps.Clone(p.conf)
	if previous != nil {
		conf["prevResult"] = previous
	}
	text, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + netns, "CNI_IFNAME=eth0", "CNI_PATH=" + path, "PATH=" + os.Getenv("PATH")}
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &stderr
	if err := n.StartCommand(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, strings.TrimSpace(out.String()), &stderr)
	}
	return out.Bytes(), nil
}

func cniSection(pods int, plugins []*plugin) Section {
	s := Section{
		Title: "Attaching pods",
		Text: fmt.Sprintf("Calls of the plugins' binaries, in turn, for %d pods each. All pods stay attached to one bridge until the last "+
			"one is. Figures are p50 and p99. podlane-cni's own share is its time with an empty Go program in place of "+
			"bridge, less the time of that program alone in the same round.", pods),
	}
	for _, command := range commands {
		s.Rows = append(s.Rows, commandRows(command, plugins)...)
	}
	return s
}

func commandRows(command string, plugins []*plugin) (rows []Row) {
	took := func(i int) series { return *plugins[i].took[command] }
	whole, alone, both, empty := took(0), took(1), took(3), took(4)
	for i, p := range plugins {
		r := Row{What: command + ": " + p.name, Figure: p50(took(i))}
		if i == 0 {
			r.Against, r.Ratio = "bridge alone "+p50(alone), ratio(whole, alone)
		}
		rows = append(rows, r)
	}
	var share series
	for i := range both {
		share.add(both[i] - empty[i])
	}
	own := Row{What: command + ": podlane-cni's own share", Figure: p50(share)}
	beside := Row{What: command + ": the same beside bridge alone", Figure: p50(share), Against: "bridge alone " + p50(alone), Ratio: ratio(share, alone)}
	if command == "ADD" {
		own = within(own, share.median(), 2.5e-3, "under 2.5 ms")
		beside = within(beside, beside.Ratio, 0.30, "under 0.30")
	}
	scale := Row{What: command + ": the same beside exec of an empty Go program", Figure: p50(share), Against: "exec of an empty Go program " + p50(empty), Ratio: ratio(share, empty)}
	return append(rows, own, beside, scale)
}

func p50(s series) string { return seconds(s.median()) + ", p99 " + seconds(s.quantile(0.99)) }
