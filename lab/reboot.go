package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Reboot crashes the node's machine and boots it. podlaned is killed, and podlane-kube too. The node's pods, its kernel state and its files
// in /run are lost. Files on disk stay: podlaned's saved state and log, and the addresses that host-local gave out.
// The node is on the underlay again. No daemon is started. Commands that still run in the old node keep running,
// cut off from everything.
//
// Several nodes may reboot at once. The lab drops their pods. Detach frees their addresses, like a container runtime
// after a boot.
func (n *Node) Reboot(ctx context.Context) error {
	if err := n.crash(); err != nil {
		return fmt.Errorf("crash %s: %w", n.Name, err)
	}
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("boot %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) crash() error {
	errs := []error{removeDevice(n.Name), n.Kill(), n.KillFeeder()}
	for _, p := range n.lab.Pods() {
		if p.Node == n {
			n.lab.pods.remove(p)
			p.args.NetNS = "" // like a runtime after the namespace was deleted; a new pod may have its name
			errs = append(errs, p.remove())
		}
	}
	return errors.Join(append(errs, n.ns.Delete(), os.RemoveAll(n.runDir()))...)
}

func (n *Node) boot(ctx context.Context) error {
	if err := n.makeNamespace(); err != nil {
		return err
	}
	if err := n.lab.underlay.attach(n.Index, n.ns); err != nil {
		return err
	}
	return cable{n.Name, n.ns}.await(ctx)
}
