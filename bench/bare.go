package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// bare is a namespace like a node's in which others than podlaned write.
type bare struct{ sandbox.Namespace }

// underlayAddr is the address of the namespace's underlay interface.
var underlayAddr = netip.MustParsePrefix("198.18.1.1/16")

func makeBare() (bare, error) {
	ns, err := sandbox.New("bare")
	if err != nil {
		return bare{}, err
	}
	b := bare{ns}
	return b, b.run(
		"ip link add u0 type veth peer name u1",
		"ip link set u1 up",
		"ip link set u0 up",
		"ip address add "+underlayAddr.String()+" dev u0",
	)
}

func (b bare) run(commands ...string) error {
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := b.Run(words[0], words[1:]...); err != nil {
			return fmt.Errorf("%s: %w: %s", c, err, out)
		}
	}
	return nil
}

// makeDevice makes a tunnel without entries, as podlaned makes it.
func (b bare) makeDevice() error {
	return b.run(
		"ip link add "+device+" type vxlan id 1 dstport 8472 local "+underlayAddr.Addr().String()+" nolearning",
		"ip address add 10.255.255.0/32 dev "+device,
		"ip link set "+device+" up",
	)
}

func (b bare) removeDevice() error { return b.run("ip link del " + device) }

// timed is how long something takes on a tunnel without entries, which is removed afterwards.
func (b bare) timed(what func() error) (time.Duration, error) {
	if err := b.makeDevice(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := what()
	took := time.Since(began)
	return took, errors.Join(err, b.removeDevice())
}

// raw writes entries as the kernel itself takes them: as many requests a sendmsg as fit.
func (b bare) raw(e entries) (took time.Duration, err error) {
	err = b.Do(func() error {
		if err := b.makeDevice(); err != nil {
			return err
		}
		ifaces, err := underlay.Read()
		if err != nil {
			return err
		}
		index := 0
		for _, i := range ifaces {
			if i.Name == device {
				index = i.Index
			}
		}
		batch, err := e.batch(index)
		if err != nil {
			return err
		}
		began := time.Now()
		conn, err := rtnl.Dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		var refused []error
		err = conn.Send(batch, func(_ int, err error) { refused = append(refused, err) })
		took = time.Since(began)
		return errors.Join(append(refused, err)...)
	})
	return took, errors.Join(err, b.removeDevice())
}

// tools writes entries by ip -batch and bridge -batch.
func (b bare) tools(e entries) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ip, bridge := e.scripts()
	files := [2]string{filepath.Join(dir, "ip"), filepath.Join(dir, "bridge")}
	for i, text := range []string{ip, bridge} {
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			return 0, err
		}
	}
	return b.timed(func() error { return b.run("ip -batch "+files[0], "bridge -batch "+files[1]) })
}

// apply is podlane's own backend, in this process: it makes the device, writes, and reads all again.
func (b bare) apply(ctx context.Context, self subnet.Lease, peers []subnet.Lease) (took time.Duration, err error) {
	network, _, err := subnet.ParseNetwork([]byte(config))
	if err != nil {
		return 0, err
	}
	err = b.Do(func() error {
		ifaces, err := underlay.Read()
		if err != nil {
			return err
		}
		for _, i := range ifaces {
			if i.Name != "u0" {
				continue
			}
			backend, err := vxlan.New(network, i)
			if err != nil {
				return err
			}
			began := time.Now()
			report, err := backend.Apply(ctx, self, peers)
			took = time.Since(began)
			if err == nil && report.Peers != len(peers) {
				err = fmt.Errorf("%d of %d peers are programmed: %v", report.Peers, len(peers), report.Failed)
			}
			return err
		}
		return errors.New("no underlay interface")
	})
	return took, errors.Join(err, b.removeDevice())
}
