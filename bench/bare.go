package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/backend/vxlan"
	"github.com/podlane/podlane/lab/sandbox"
	"github.com/podlane/podlane/rtnl"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/underlay"
)

// bare is a namespace like a node's, without podlaned. The raw requests and the tools write in it.
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

// makeDevice makes a tunnel without entries, like podlaned.
func (b bare) makeDevice() error {
	return b.run(
		"ip link add "+device+" type vxlan id 1 dstport 8472 local "+underlayAddr.Addr().String()+" nolearning",
		"ip address add 10.255.255.0/32 dev "+device,
		"ip link set "+device+" up",
	)
}

func (b bare) removeDevice() error { return b.run("ip link del " + device) }

// cost is the time that something took.
type cost struct{ took, cpu time.Duration }

// raw applies edits as raw netlink requests, as many in one sendmsg as fit. All work is in the system calls of one
// thread. Its CPU time is the cost.
func (b bare) raw(edits ...edit) ([]cost, error) {
	return b.each(edits, func(index int, e edit) (c cost, err error) {
		batch, err := e.batch(index)
		if err != nil {
			return c, err
		}
		return onThread(func() error { return send(batch) })
	})
}

// each applies edits with do, one after the other, on one tunnel that has no entries before. do receives the tunnel's
// index.
func (b bare) each(edits []edit, do func(index int, e edit) (cost, error)) (costs []cost, err error) {
	err = b.withTunnel(func(index int) error {
		for _, e := range edits {
			c, err := do(index, e)
			if err != nil {
				return err
			}
			costs = append(costs, c)
		}
		return nil
	})
	return costs, err
}

// withTunnel calls do on a thread in the namespace, with the index of a tunnel without entries. It removes the tunnel
// afterwards.
func (b bare) withTunnel(do func(index int) error) error {
	err := b.Do(func() error {
		if err := b.makeDevice(); err != nil {
			return err
		}
		tunnel, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		return do(tunnel.Index)
	})
	return errors.Join(err, b.removeDevice())
}

// send sends requests on a new socket. A refused request is an error.
func send(batch *rtnl.Batch) error {
	conn, err := rtnl.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	var refused []error
	err = conn.Send(batch, func(_ int, err error) { refused = append(refused, err) })
	return errors.Join(append(refused, err)...)
}

// onThread returns the cost of a function that runs only on the calling thread. The thread's clock is exact.
// getrusage(2) of a running thread would return the value of the last tick.
func onThread(what func() error) (c cost, err error) {
	var before, after unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &before); err != nil {
		return c, err
	}
	began := time.Now()
	err = what()
	c.took = time.Since(began)
	err = errors.Join(err, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &after))
	c.cpu = time.Duration(after.Nano() - before.Nano())
	return c, err
}

// byTools applies edits with ip -batch and bridge -batch.
func (b bare) byTools(edits ...edit) ([]cost, error) {
	dir, err := os.MkdirTemp("/run", "bench") // the sandbox's own
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return b.each(edits, func(_ int, e edit) (sum cost, err error) {
		err = e.eachScript(func(tool, script string) error {
			file := filepath.Join(dir, tool)
			if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
				return err
			}
			c, err := b.process(tool, "-batch", file)
			sum.took, sum.cpu = sum.took+c.took, sum.cpu+c.cpu
			return err
		})
		return sum, err
	})
}

// eachScript calls do with the scripts of ip -batch and bridge -batch, if they are not empty.
func (e edit) eachScript(do func(tool, script string) error) (err error) {
	ip, bridge := e.scripts()
	if ip != "" {
		err = do("ip", ip)
	}
	if err == nil && bridge != "" {
		err = do("bridge", bridge)
	}
	return err
}

// process returns the cost of a program, from before its start until after its end.
func (b bare) process(name string, args ...string) (c cost, err error) {
	cmd, out := exec.Command(name, args...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	if err := b.Start(cmd); err != nil {
		return c, err
	}
	err = cmd.Wait()
	c = cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return c, err
}

// apply runs podlane's own backend in this process. It makes the device, writes the entries, and reads everything
// again.
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
