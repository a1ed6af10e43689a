package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sync/errgroup"
)

// Pod is a namespace attached to a node by the CNI plugins.
type Pod struct {
	*Place
	Node  *Node
	Addrs []netip.Addr // the pod's own, from the plugins' result

	lab  *Lab
	args libcni.RuntimeConf
}

// Port is a port of the node that is forwarded to a port of a pod.
type Port struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"` // tcp or udp
}

// pods holds the existing pods by name. Several nodes add pods at once.
type pods struct {
	mu     sync.Mutex
	byName map[string]*Pod
	added  int // in all
}

// AddPod makes a namespace and attaches it to a node. It runs CNI ADD of podlane-cni (which becomes bridge with
// host-local), portmap and podlane-gate. After an error nothing is left.
func (l *Lab) AddPod(ctx context.Context, n *Node, name string, ports ...Port) (*Pod, error) {
	place, err := makePlace(name, l.options.Bin, nil)
	if err != nil {
		return nil, fmt.Errorf("add pod %s: %w", name, err)
	}
	p := &Pod{Place: place, Node: n, lab: l, args: libcni.RuntimeConf{
		ContainerID: fmt.Sprintf("lab-%s-%d", name, l.pods.next()),
		NetNS:       place.Path(),
		IfName:      "eth0",
	}}
	if len(ports) > 0 {
		p.args.CapabilityArgs = map[string]any{"portMappings": ports}
	}
	l.pods.put(p)
	if err := p.attach(ctx); err != nil {
		l.pods.remove(p)
		return nil, errors.Join(fmt.Errorf("attach pod %s to %s: %w", name, n.Name, err), place.remove())
	}
	return p, nil
}

// AddPods adds 1 to 26 pods to every node: p1 on n1, or p1a, p1b, ... if there are several. The nodes work in
// parallel.
func (l *Lab) AddPods(ctx context.Context, perNode int) error {
	count := perNode * len(l.Nodes)
	return l.step(ctx, fmt.Sprintf("%d pod%s, by CNI ADD", count, plural(count)), func(ctx context.Context) error {
		var g errgroup.Group
		for _, n := range l.Nodes {
			g.Go(func() error {
				for i := range perNode {
					if _, err := l.AddPod(ctx, n, podName(n.Index, i, perNode)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return g.Wait()
	})
}

func podName(node, i, perNode int) string {
	if perNode == 1 {
		return fmt.Sprintf("p%d", node)
	}
	return fmt.Sprintf("p%d%c", node, 'a'+i)
}

// Pods returns the lab's pods in the order of their names, p2 before p10.
func (l *Lab) Pods() []*Pod { return l.pods.all() }

func (p *Pod) attach(ctx context.Context) error {
	conf, err := p.Node.ConfList()
	if err != nil {
		return err
	}
	return p.Node.Do(func() error { // the plugins run in the node, because the bridge belongs there
		result, err := p.Node.cni(p.lab).AddNetworkList(ctx, conf, &p.args)
		if err != nil {
			return err
		}
		r, err := current.NewResultFromResult(result)
		if err != nil {
			return err
		}
		for _, ip := range r.IPs {
			a, _ := netip.AddrFromSlice(ip.Address.IP)
			p.Addrs = append(p.Addrs, a.Unmap())
		}
		if len(p.Addrs) == 0 {
			return fmt.Errorf("the plugins gave no address: %v", r)
		}
		return nil
	})
}

// Check runs CNI CHECK for the pod.
func (p *Pod) Check(ctx context.Context) error {
	conf, err := p.Node.ConfList()
	if err != nil {
		return err
	}
	return p.Node.Do(func() error { return p.Node.cni(p.lab).CheckNetworkList(ctx, conf, &p.args) })
}

// Detach runs CNI DEL for the pod and keeps its namespace.
func (p *Pod) Detach(ctx context.Context) error {
	conf, err := p.Node.ConfList()
	if err != nil {
		return err
	}
	return p.Node.Do(func() error { return p.Node.cni(p.lab).DelNetworkList(ctx, conf, &p.args) })
}

// Delete runs CNI DEL for the pod and removes its namespace.
func (p *Pod) Delete(ctx context.Context) error {
	if err := p.Detach(ctx); err != nil {
		return fmt.Errorf("detach pod %s: %w", p.Name, err)
	}
	p.lab.pods.remove(p)
	return p.remove()
}

// ConfList returns the node's CNI configuration list. It is a user's, but with the folders of this node.
func (n *Node) ConfList() (*libcni.NetworkConfigList, error) {
	portmap := map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}}
	if backend := n.lab.options.Portmap; backend != "" {
		portmap["backend"] = backend
	}
	text, err := json.Marshal(map[string]any{
		"cniVersion": "1.1.0",
		"name":       "podlane",
		"plugins": []any{
			map[string]any{
				"type":     "podlane-cni",
				"nodeFile": n.NodeFile(),
				"delegate": map[string]any{"ipam": map[string]any{"dataDir": n.IPAMDir()}},
			},
			portmap,
			map[string]any{"type": "podlane-gate"},
		},
	})
	if err != nil {
		return nil, err
	}
	return libcni.ConfListFromBytes(text)
}

// IPAMDir returns the folder with the addresses that host-local has given out, in a subfolder named after the
// network: podlane.
func (n *Node) IPAMDir() string { return filepath.Join(n.dir(), "ipam") }

// cni runs plugins in the calling thread's namespace.
func (n *Node) cni(l *Lab) *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(
		[]string{l.options.Bin, filepath.Join(l.options.Bin, "cni")},
		filepath.Join(n.dir(), "cni"),
		&invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: l.options.Log}, PluginDecoder: version.PluginDecoder{}},
	)
}

// next returns a number that no pod had before: a runtime never uses a container's id again.
func (s *pods) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added++
	return s.added
}

func (s *pods) put(p *Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]*Pod{}
	}
	s.byName[p.Name] = p
}

func (s *pods) remove(p *Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byName, p.Name)
}

func (s *pods) all() []*Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Pod
	for _, p := range s.byName {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *Pod) int { return natural(a.Name, b.Name) })
	return all
}
