package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/lab/sandbox"
)

// BenchmarkOverhead measures an ADD of a trivial delegate with podlane-cni and without it.
func BenchmarkOverhead(b *testing.B) {
	conf := `{"cniVersion":"1.0.0","name":"n","nodeFile":"` + writeNode(b, dualNode.Marshal()) + `","delegate":{"type":"echo"}}`
	env := call{command: "ADD"}.environment(b)
	var shim, alone time.Duration
	for b.Loop() {
		shim += timed(b, "podlane-cni", env, conf)
		alone += timed(b, "echo", env, conf)
	}
	report(b, shim, alone)
}

// BenchmarkAttach measures an ADD of bridge with podlane-cni and without it.
func BenchmarkAttach(b *testing.B) {
	node, pod := sandbox.Test(b, "node"), sandbox.Test(b, "pod")
	conf := `{"cniVersion":"1.0.0","name":"n","nodeFile":"` + writeNode(b, dualNode.Marshal()) +
		`","delegate":{"ipam":{"dataDir":"` + b.TempDir() + `"},"ipMasq":false}}`
	parsed, err := parse([]byte(conf))
	if err != nil {
		b.Fatal(err)
	}
	translated, err := parsed.translate(dualNode)
	if err != nil {
		b.Fatal(err)
	}
	add := call{command: "ADD", env: []string{"CNI_NETNS=" + pod.Path()}}.environment(b)
	del := call{command: "DEL", env: []string{"CNI_NETNS=" + pod.Path()}}.environment(b)
	once := func(plugin, conf string) (took time.Duration) {
		if err := node.Do(func() error {
			took = timed(b, plugin, add, conf)
			timed(b, plugin, del, conf)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		return took
	}
	var shim, alone time.Duration
	for b.Loop() {
		shim += once("podlane-cni", conf)
		alone += once("bridge", string(translated))
	}
	report(b, shim, alone)
}

func report(b *testing.B, shim, alone time.Duration) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(shim.Seconds()*1e3/float64(b.N), "ms/shim")
	b.ReportMetric(alone.Seconds()*1e3/float64(b.N), "ms/alone")
	b.ReportMetric(shim.Seconds()/alone.Seconds(), "ratio")
}

func timed(b *testing.B, plugin string, env []string, conf string) time.Duration {
	path := filepath.Join(binDir, plugin)
	if plugin == bridge {
		path = filepath.Join("../bin/cni", plugin)
	}
	cmd := exec.Command(path)
	cmd.Env, cmd.Stdin = env, strings.NewReader(conf)
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v", plugin, err)
	}
	return time.Since(begin)
}
