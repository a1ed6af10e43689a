package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// node is a namespace with a bridge like the CNI plugin's, and a Keeper.
type node struct {
	testing.TB
	sandbox.Namespace
	keeper *Keeper
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t, sandbox.Test(t, "node"), &Keeper{reserved: t.TempDir()}}
	n.run("ip link add cni0 type bridge")
	n.run("ip link set cni0 up")
	n.run("ip address add 10.5.1.1/24 brd 10.5.1.255 dev cni0")
	n.run("ip address add fd00:5:0:1::1/64 dev cni0 nodad")
	return n
}

func (n *node) run(command string) string {
	n.Helper()
	out, err := n.Run("sh", "-ec", command)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

// pod attaches the i-th pod to the bridge.
func (n *node) pod(i int) sandbox.Namespace {
	n.Helper()
	p := sandbox.Test(n.TB, fmt.Sprint("pod", i))
	n.run(fmt.Sprintf("ip link add veth%[1]d type veth peer name eth0 netns %[2]s; ip link set veth%[1]d master cni0 up", i, p.Name))
	if _, err := p.Run("sh", "-ec", fmt.Sprintf(`sysctl -qw net.ipv6.conf.eth0.accept_dad=0; ip link set eth0 up; ip address add 10.5.1.%[1]d/24 dev eth0
ip address add fd00:5:0:1::%[1]d/64 dev eth0 nodad`, i)); err != nil {
		n.Fatal(err)
	}
	return p
}

// restore runs Restore and compares its ops with lines of text; those of repairs end in "(drift)".
func (n *node) restore(netfilter bool, want string) Report {
	n.Helper()
	var r Report
	err := n.Do(func() (err error) { r, err = n.keeper.Restore(both, netfilter); return err })
	if err != nil {
		n.Fatal(err)
	}
	var got []string
	for _, op := range r.Ops {
		text := op.String()
		if op.Drift {
			text += " (drift)"
		}
		got = append(got, text)
	}
	if diff := gocmp.Diff(want, strings.Join(got, "\n")); diff != "" {
		n.Errorf("ops (-want +got):\n%s", diff)
	}
	return r
}

// addresses returns the bridge's addresses, without the kernel's additions.
func (n *node) addresses() string {
	n.Helper()
	return n.run("ip -o address show dev cni0 | grep -v deprecated | sed 's/valid_lft.*//; s/^[0-9]*: //' | tr -s ' '")
}

func TestBridgeIsRestored(t *testing.T) {
	n := newNode(t)
	pod := n.pod(2)
	n.run("ip link set cni0 addrgenmode none; ip -6 address flush dev cni0 scope link; ip address add fe80::77/64 dev cni0 nodad")
	n.restore(false, "")
	want := n.addresses()
	const v4 = "add address 10.5.1.1/24 dev cni0 (drift)"
	const ll, v6 = "add address fe80::77/64 dev cni0 (drift)\n", "add address fd00:5:0:1::1/64 dev cni0 (drift)"
	for _, c := range []struct{ command, ops string }{
		{"ip link set cni0 down", ll + v6 + "\nset link cni0 up (drift)"},
		{"ip address flush dev cni0", ll + v4 + "\n" + v6},
		{"ip -4 address flush dev cni0", v4},
		{"ip address del 10.5.1.1/24 dev cni0; ip address add 192.0.2.1/24 dev cni0", v4},
		{"sysctl -qw net.ipv6.conf.cni0.disable_ipv6=1", "set net.ipv6.conf.cni0.disable_ipv6 = 0 (drift)\n" + ll + v6},
		{"ip address flush dev cni0; ip link set cni0 down", ll + v4 + "\n" + v6 + "\nset link cni0 up (drift)"},
	} {
		n.run(c.command)
		n.restore(false, c.ops)
		n.run("ip address del 192.0.2.1/24 dev cni0 2>/dev/null || true")
		for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
			if got := n.addresses(); !strings.Contains(got, strings.TrimSpace(line)) {
				t.Errorf("after %q: got addresses\n%s\nwant also\n%s", c.command, got, line)
			}
		}
		n.restore(false, "")
		for _, a := range []string{"10.5.1.1", "fd00:5:0:1::1"} {
			if out, err := pod.Run("ping", "-c1", "-i0.1", "-w5", a); err != nil {
				t.Errorf("after %q: %s: %v", c.command, out, err)
			}
		}
	}
}

// The bridge loses everything while podlaned is down.
func TestBridgeIsRestoredAfterARestart(t *testing.T) {
	n := newNode(t)
	n.pod(2)
	n.restore(false, "")
	n.run("sysctl -qw net.ipv6.conf.cni0.addr_gen_mode=1; ip address flush dev cni0; ip link set cni0 down")
	n.keeper = New(n.keeper.Known())
	r := n.restore(false, linkLocal(n.keeper)+"add address 10.5.1.1/24 dev cni0 (drift)\nadd address fd00:5:0:1::1/64 dev cni0 (drift)\nset link cni0 up (drift)")
	if len(r.Problems) > 0 {
		t.Errorf("got problems %q, want none", r.Problems)
	}
}

// linkLocal returns the op that restores the bridge's link-local address.
func linkLocal(k *Keeper) string {
	for _, a := range k.known[0].Addrs {
		if isLinkLocal(a) {
			return fmt.Sprintf("add address %s dev cni0 (drift)\n", a)
		}
	}
	return ""
}

// A program that deletes podlane's pods may delete their bridge too.
func TestBridgeWithoutPodsIsLeftAlone(t *testing.T) {
	for _, command := range []string{"ip link set cni0 down", "ip address flush dev cni0", "ip link delete cni0"} {
		t.Run(command, func(t *testing.T) {
			n := newNode(t)
			n.pod(2)
			n.restore(false, "")
			n.run("ip link delete veth2; " + command)
			if r := n.restore(false, ""); len(r.Problems) > 0 {
				t.Errorf("got problems %q, want none", r.Problems)
			}
		})
	}
}

// A plugin may create a link for each pod, without a bridge.
func TestPodsWithoutABridge(t *testing.T) {
	n := newNode(t)
	n.run("ip link delete cni0; ip link add veth9 type veth peer name veth8; ip address add 10.5.1.1/32 dev veth9; ip link set veth9 up")
	n.restore(false, "")
	n.run("ip address flush dev veth9; ip link set veth9 down")
	if r := n.restore(false, ""); len(r.Problems) > 0 {
		t.Errorf("got problems %q, want none", r.Problems)
	}
	if names := n.keeper.Names(); len(names) > 0 {
		t.Errorf("got bridges %q, want none", names)
	}
}

func TestDeletedBridge(t *testing.T) {
	n := newNode(t)
	other := sandbox.Test(t, "other")
	n.run("ip link add cali1 type veth peer name eth0 netns " + other.Name) // another network's
	n.pod(2)
	n.pod(3)
	n.reserve("10.5.1.2", "aaaa\r\neth0")
	n.reserve("fd00:5:0:1::2", "aaaa\r\neth0")
	n.reserve("10.5.1.3", "bbbb\r\neth0")
	n.reserve("10.9.9.9", "cccc\r\neth0")
	n.reserve("last_reserved_ip.0", "10.5.1.3")
	n.restore(false, "")
	n.run("ip link delete cni0")
	const cut = "the bridge cni0 was deleted, which cut off these pods: "
	n.wantProblems(cut + "10.5.1.2 and fd00:5:0:1::2 (container aaaa), 10.5.1.3 (container bbbb); restart them to attach them again")
	if names := n.keeper.Names(); len(names) != 1 || names[0] != "cni0" {
		t.Errorf("got bridges %q, want cni0: the firewall still needs its name", names)
	}
	n.keeper = &Keeper{known: n.keeper.Known(), reserved: n.keeper.reserved} // a restart
	// A new pod creates the bridge again, and the first pod is restarted.
	n.run("ip link add cni0 type bridge; ip link set cni0 up; ip address add 10.5.1.1/24 dev cni0; ip link delete veth2")
	n.pod(4)
	n.reserve("10.5.1.4", "dddd\r\neth0")
	if err := os.RemoveAll(filepath.Join(n.keeper.reserved, "podlane", "10.5.1.2")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(n.keeper.reserved, "podlane", "fd00:5:0:1::2")); err != nil {
		t.Fatal(err)
	}
	n.wantProblems(cut + "10.5.1.3 (container bbbb); restart them to attach them again")
	if err := os.RemoveAll(n.keeper.reserved); err != nil {
		t.Fatal(err)
	}
	n.wantProblems(cut + "the pod at interface veth3; restart them to attach them again")
	n.run("ip link delete veth3")
	n.wantProblems()
	n.run("ip address flush dev cni0")
	n.restore(false, linkLocal(n.keeper)+"add address 10.5.1.1/24 dev cni0 (drift)")
}

// reserve writes reservation files as host-local does.
func (n *node) reserve(name, text string) {
	n.Helper()
	folder := filepath.Join(n.keeper.reserved, "podlane")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		n.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		n.Fatal(err)
	}
}

// wantProblems runs Restore, which must write nothing, and compares its problems.
func (n *node) wantProblems(want ...string) {
	n.Helper()
	if diff := gocmp.Diff(want, n.restore(false, "").Problems); diff != "" {
		n.Errorf("problems (-want +got):\n%s", diff)
	}
}

// The firewall sees the packets that the bridge forwards, whatever the setting for all bridges is.
func TestConnectionTrackingSeesBridgedPackets(t *testing.T) {
	n := newNode(t)
	n.run("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
	a := n.pod(2)
	n.pod(3)
	seen := func() bool {
		n.Helper()
		n.run(`nft 'add table inet seen; delete table inet seen; add table inet seen
add chain inet seen forward { type filter hook forward priority 0; }; add rule inet seen forward counter'`)
		for _, to := range []string{"10.5.1.3", "fd00:5:0:1::3"} {
			if out, err := a.Run("ping", "-c1", "-W2", to); err != nil {
				t.Errorf("%s: %v", out, err)
			}
		}
		return !strings.Contains(n.run("nft list table inet seen"), "packets 0")
	}
	n.restore(false, "")
	if seen() {
		t.Error("without the module: the firewall sees the packets")
	}
	if !n.keeper.Hidden() {
		t.Error("without the module: Hidden() is false")
	}
	const set = "set link cni0 type bridge nf_call_iptables 1\nset link cni0 type bridge nf_call_ip6tables 1"
	n.restore(true, set)
	if !seen() {
		t.Error("with the module: the firewall does not see the packets")
	}
	if n.keeper.Hidden() {
		t.Error("with the module: Hidden() is true")
	}
	n.restore(true, "")
	n.run("ip link set cni0 type bridge nf_call_ip6tables 0")
	n.restore(true, "set link cni0 type bridge nf_call_ip6tables 1 (drift)")
}
