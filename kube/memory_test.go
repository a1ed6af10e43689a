package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podlane/podlane/channel"
)

// maxMemory is the most memory that podlane-kube node may have used (VmHWM of /proc/PID/status), in kB, with 1,000 Nodes.
const maxMemory = 45 << 10

// crowdNode fills a Node as a busy cluster has them: 50 images, 20 labels and 8 conditions are 12 KB of JSON.
func crowdNode(i int) func(map[string]any) {
	return func(n map[string]any) {
		labels, images, conditions := map[string]any{}, []any{}, []any{}
		for l := range 20 {
			labels[fmt.Sprintf("topology.example.org/label-%02d", l)] = fmt.Sprintf("value-%d-%d", i, l)
		}
		for image := range 50 {
			images = append(images, map[string]any{"sizeBytes": 100_000_000 + image, "names": []any{
				fmt.Sprintf("registry.example.org/team-%d/service-%d@sha256:%064x", image%7, image, image*1000+i),
				fmt.Sprintf("registry.example.org/team-%d/service-%d:v1.%d", image%7, image, image)}})
		}
		for c := range 8 {
			conditions = append(conditions, map[string]any{"type": fmt.Sprintf("Condition%d", c), "status": "False", "reason": "KubeletHasSufficientMemory",
				"message": "kubelet has sufficient memory available", "lastHeartbeatTime": "2026-11-30T10:00:00Z", "lastTransitionTime": "2026-11-01T10:00:00Z"})
		}
		pod := fmt.Sprintf("10.%d.%d.0/24", 64+i/256, i%256)
		n["metadata"] = map[string]any{"labels": labels, "annotations": map[string]any{
			"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock", "volumes.kubernetes.io/controller-managed-attach-detach": "true",
			prefix + "kube-subnet-manager": "true", prefix + "backend-type": "vxlan", prefix + "public-ip": fmt.Sprintf("172.16.%d.%d", i/250, i%250+1),
			prefix + "backend-data": fmt.Sprintf(`{"VNI":1,"VtepMAC":"02:00:00:00:%02x:%02x","NodeID":"%032x","Node":"node-%d","Version":"v1.0.0"}`, i/256, i%256, i, i)}}
		n["spec"] = map[string]any{"podCIDR": pod, "podCIDRs": []any{pod}, "providerID": fmt.Sprintf("example://zone-a/instance-%d", i)}
		n["status"] = map[string]any{"images": images, "conditions": conditions, "allocatable": map[string]any{"cpu": "16", "memory": "64Gi", "pods": "110"},
			"capacity": map[string]any{"cpu": "16", "memory": "64Gi", "pods": "110"}, "addresses": []any{map[string]any{"type": "InternalIP", "address": "172.16.0.1"}},
			"nodeInfo": map[string]any{"kernelVersion": "6.12.0", "osImage": "Debian GNU/Linux 13", "containerRuntimeVersion": "containerd://2.1.0", "kubeletVersion": "v1.35.0"}}
	}
}

func TestMemoryWithAThousandNodes(t *testing.T) {
	const binary = "../bin/podlane-kube"
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v: run `make build`", err)
	}
	for name, options := range apiServers {
		t.Run(name, func(t *testing.T) {
			w := newFeedWorld(t, options)
			for i := range 1000 {
				w.api.UpdateNode(fmt.Sprintf("node-%d", i), crowdNode(i))
			}
			w.api.SetNode("n1", "10.244.1.0/24")
			w.podlaned(0).Announce(channel.Announcement{Lease: ownLease("192.168.64.1")})
			kubeconfig := filepath.Join(w.dir, "kubeconfig")
			if err := os.WriteFile(kubeconfig, w.api.Kubeconfig(nil, ""), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), binary, "node", "--store=kubernetes", "--node-name=n1", "--kubeconfig="+kubeconfig, "--run-dir="+w.dir, "--network-file="+w.file)
			cmd.Stdout, cmd.Stderr = w.log, w.log
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Wait() // it was interrupted
				t.Log(w.log)
			})
			began := time.Now()
			w.await("all leases", func(l channel.Leases) bool { return len(l.Leases) == 1001 })
			first := memoryOf(t, cmd.Process.Pid, "VmHWM")
			for i := range 300 { // heartbeats of kubelets
				w.api.UpdateNode(fmt.Sprintf("node-%d", i), func(n map[string]any) { n["status"].(map[string]any)["phase"] = "Running" })
			}
			w.api.DeleteNode("node-999")
			w.await("all but one", func(l channel.Leases) bool { return len(l.Leases) == 1000 })
			peak := memoryOf(t, cmd.Process.Pid, "VmHWM")
			t.Logf("%v; %d kB after the list, %d kB at the peak, %d kB now (%d kB anonymous)", time.Since(began), first, peak, memoryOf(t, cmd.Process.Pid, "VmRSS"), memoryOf(t, cmd.Process.Pid, "RssAnon"))
			if peak > maxMemory {
				t.Errorf("podlane-kube used %d kB, want at most %d", peak, maxMemory)
			}
		})
	}
}

// memoryOf returns a value such as "VmRSS:  2048 kB" of a process's status (proc(5)), in kB.
func memoryOf(t *testing.T, pid int, field string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+) kB$`).FindStringSubmatch(string(status))
	if match == nil {
		t.Fatalf("no %s in %s", field, strings.TrimSpace(string(status)))
	}
	kB, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return kB
}
