package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// real makes a lab of the built binaries (`make build`) with ready daemons.
func real(t *testing.T, nodes int) *Lab {
	t.Helper()
	bin := built(t)
	if err := CheckTools(bin); err != nil {
		t.Fatal(err)
	}
	l := build(t, Options{Nodes: nodes, Bin: bin})
	if err := l.StartAll(within(t)); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPodIsAddedAndDeleted(t *testing.T) {
	l := real(t, 1)
	ctx, n := within(t), l.Nodes[0]
	subnets, err := n.Subnet()
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.AddPod(ctx, n, "p1", Port{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Addrs) != 1 || !subnets.IPv4.Contains(p.Addrs[0]) {
		t.Errorf("addresses %v, want one of %v", p.Addrs, subnets)
	}
	if err := p.Check(ctx); err != nil {
		t.Error(err)
	}
	address := reserved(p)
	if _, err := os.Stat(address); err != nil {
		t.Error(err)
	}
	if err := p.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{address, p.Path(), p.dir()} {
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("%s: %v; want it gone", left, err)
		}
	}
	if len(l.Pods()) != 0 {
		t.Errorf("pods left: %v", l.Pods())
	}
}

func TestPodCannotBeAttached(t *testing.T) {
	l := build(t, Options{Nodes: 1})
	_, err := l.AddPod(within(t), l.Nodes[0], "p1")
	if err == nil || !strings.Contains(err.Error(), "attach pod p1 to n1") {
		t.Errorf("error %v", err)
	}
	if left, _ := filepath.Glob("/run/netns/p*"); len(left) > 0 || len(l.Pods()) > 0 {
		t.Errorf("left: %v %v", left, l.Pods())
	}
}

func TestRestartKeepsTheSubnet(t *testing.T) {
	l := real(t, 2)
	n := l.Nodes[0]
	before, err := n.Subnet()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	if after, err := n.Subnet(); err != nil || after != before {
		t.Errorf("subnet %v, %v; want %v", after, err, before)
	}
	if code, err := n.Stop(within(t)); code != 0 || err != nil {
		t.Errorf("Stop: %d, %v", code, err)
	}
}
