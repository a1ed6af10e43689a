package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
)

// plugin is a CNI plugin with its configuration, and what its calls took.
type plugin struct {
	name, path string
	conf       map[string]any
	took       map[string]*series // by command
	results    []json.RawMessage  // of ADD, a pod each
}

// cni measures attaching, checking and detaching 200 pods.
func cni(ctx context.Context, b bench) (s Section, err error) {
	pods := 200
	if b.quick {
		pods = 10
	}
	w, err := makeWorld(ctx, b, 1)
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
	plugins, err := makePlugins(ctx, b, n)
	if err != nil {
		return s, err
	}
	spaces := make([]sandbox.Namespace, pods*len(plugins))
	for i := range spaces {
		if spaces[i], err = sandbox.New(fmt.Sprintf("pod%d", i)); err != nil {
			return s, err
		}
	}
	for _, command := range []string{"ADD", "CHECK", "DEL"} {
		for i := range pods {
			for j, p := range plugins {
				if err := p.call(ctx, b, n, command, i, spaces[i*len(plugins)+j]); err != nil {
					return s, fmt.Errorf("%s %s: %w", p.name, command, err)
				}
			}
		}
	}
	return cniSection(pods, plugins), nil
}

// makePlugins is podlane-cni, what it becomes, what that calls, and programs that do nothing.
func makePlugins(ctx context.Context, b bench, n *lab.Node) ([]*plugin, error) {
	own := map[string]any{"cniVersion": "1.0.0", "name": "whole", "type": "podlane-cni", "nodeFile": n.NodeFile(), "delegate": map[string]any{"ipam": map[string]any{"dataDir": n.IPAMDir()}}}
	bridge, err := translated(ctx, b, n, own)
	if err != nil {
		return nil, err
	}
	bridge["name"] = "alone"
	ipam := map[string]any{"cniVersion": "1.0.0", "name": "addresses", "ipam": bridge["ipam"]}
	nothing := map[string]any{"cniVersion": "1.0.0", "name": "nothing", "type": "podlane-cni", "nodeFile": n.NodeFile(), "delegate": map[string]any{"type": "_empty"}}
	plugins := []*plugin{
		{name: "podlane-cni and bridge", path: filepath.Join(b.bin, "podlane-cni"), conf: own},
		{name: "bridge alone", path: filepath.Join(b.bin, "cni", "bridge"), conf: bridge},
		{name: "host-local alone", path: filepath.Join(b.bin, "cni", "host-local"), conf: ipam},
		{name: "podlane-cni and an empty Go program", path: filepath.Join(b.bin, "podlane-cni"), conf: nothing},
		{name: "an empty Go program", path: filepath.Join(b.bin, "_empty"), conf: nothing},
	}
	for _, p := range plugins {
		p.took = map[string]*series{"ADD": {}, "CHECK": {}, "DEL": {}}
	}
	return plugins, nil
}

// translated is the configuration that podlane-cni gives to bridge: a delegate that keeps what it reads tells.
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

// call runs the plugin for the i-th pod, and notes how long it took.
func (p *plugin) call(ctx context.Context, b bench, n *lab.Node, command string, i int, pod sandbox.Namespace) error {
	var previous json.RawMessage
	if command != "ADD" && len(p.results) > i {
		previous = p.results[i]
	}
	began := time.Now()
	out, err := p.exec(ctx, n, command, fmt.Sprintf("%s-%d", p.conf["name"], i), pod.Path(), filepath.Join(b.bin, "cni")+":"+b.bin, previous)
	p.took[command].addTime(time.Since(began))
	if command == "ADD" && len(out) > 0 {
		p.results = append(p.results, out)
	}
	return err
}

func (p *plugin) exec(ctx context.Context, n *lab.Node, command, id, netns, path string, previous json.RawMessage) ([]byte, error) {
	conf := map[string]any{}
	for k, v := range p.conf {
		conf[k] = v
	}
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
		Text:  fmt.Sprintf("Calls of the plugins' binaries, in turn, for %d pods each, all of which stay attached to one bridge until the last is; p50, and p99 of them.", pods),
	}
	whole, alone, both, empty := plugins[0], plugins[1], plugins[3], plugins[4]
	for _, command := range []string{"ADD", "CHECK", "DEL"} {
		for _, p := range plugins[:3] {
			r := Row{What: command + ": " + p.name, Figure: p50(*p.took[command])}
			if p == whole {
				r.Against, r.Ratio = "bridge alone "+p50(*alone.took[command]), ratio(*whole.took[command], *alone.took[command])
			}
			s.Rows = append(s.Rows, r)
		}
	}
	var share, part series
	for i, t := range *both.took["ADD"] {
		own := t - (*empty.took["ADD"])[i]
		share.add(own)
		part.add(own / (*alone.took["ADD"])[i])
	}
	s.Rows = append(s.Rows,
		Row{What: "exec of an empty Go program", Figure: p50(*empty.took["ADD"])},
		within(Row{What: "ADD: podlane-cni's own share, before another program", Figure: p50(share)}, share.median(), 2.5e-3, "under 2.5 ms"),
		within(Row{What: "the same beside bridge alone", Figure: seconds(share.median()), Against: "bridge alone " + seconds(alone.took["ADD"].median()), Ratio: part.median()}, part.median(), 0.30, "under 0.30"),
	)
	return s
}

func p50(s series) string { return seconds(s.median()) + ", p99 " + seconds(s.quantile(0.99)) }
