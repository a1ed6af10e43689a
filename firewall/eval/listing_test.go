package eval

import (
	"net/netip"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// vxlanIn is VXLAN from a peer. It arrives on eth0 and is not tracked.
var vxlanIn = Packet{
	Traffic: TunnelIn, Family: subnet.IPv4, Protocol: unix.IPPROTO_UDP, State: Untracked, Local: true,
	Source: netip.MustParsePrefix("198.18.0.2/32"), Destination: netip.MustParsePrefix("198.18.0.1/32"),
	VXLAN: subnet.VXLAN{VNI: 1, Port: 8472}, In: Interface{Name: "eth0"},
}

// podsOut is new TCP connections from the pods of this node to anywhere.
var podsOut = Packet{
	Traffic: Forwarded, Family: subnet.IPv4, Protocol: unix.IPPROTO_TCP, State: New,
	Source: netip.MustParsePrefix("10.5.34.0/24"), Destination: netip.MustParsePrefix("0.0.0.0/0"), In: Interface{Name: "cni0"},
}

// lines returns the listing of a filter table whose chains accept by policy, with more lines.
func lines(rules ...string) string {
	return strings.Join(append([]string{"-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"}, rules...), "\n")
}

func outcomeText(f Outcome) string {
	switch {
	case f.Dropped():
		return "dropped by " + f.Rule()
	case f.Uncertain():
		return "uncertain by " + f.Rule()
	}
	return "accepted"
}

func TestOutcomeInAListing(t *testing.T) {
	for name, c := range map[string]struct {
		packet Packet
		rules  []string
		want   string
	}{
		"no rule":                    {vxlanIn, nil, "accepted"},
		"policy":                     {vxlanIn, []string{"-P INPUT DROP"}, "dropped by its policy"},
		"another chain's policy":     {vxlanIn, []string{"-P FORWARD DROP"}, "accepted"},
		"port":                       {vxlanIn, []string{"-A INPUT -p udp -m udp --dport 8472 -j DROP"}, "dropped by rule -A INPUT -p udp -m udp --dport 8472 -j DROP"},
		"port range":                 {vxlanIn, []string{"-A INPUT -p udp -m udp --dport 8000:9000 -j REJECT"}, "dropped by rule -A INPUT -p udp -m udp --dport 8000:9000 -j REJECT"},
		"ports without ours":         {vxlanIn, []string{"-A INPUT -p udp -m multiport --dports 53,8000:8471 -j DROP"}, "accepted"},
		"unknown source port":        {vxlanIn, []string{"-A INPUT -p udp -m udp --sport 4000 -j DROP"}, "uncertain by rule -A INPUT -p udp -m udp --sport 4000 -j DROP"},
		"not the peer":               {vxlanIn, []string{"-A INPUT ! -s 198.18.0.2/32 -j DROP"}, "accepted"},
		"another interface":          {vxlanIn, []string{"-A INPUT -i eth1+ -j DROP"}, "accepted"},
		"names with a beginning":     {vxlanIn, []string{"-A INPUT -i eth+ -j DROP"}, "dropped by rule -A INPUT -i eth+ -j DROP"},
		"state":                      {vxlanIn, []string{"-P INPUT DROP", "-A INPUT -m state --state NEW,ESTABLISHED -j ACCEPT"}, "dropped by its policy"},
		"state with UNTRACKED":       {vxlanIn, []string{"-P INPUT DROP", "-A INPUT -m conntrack --ctstate NEW,UNTRACKED -j ACCEPT"}, "accepted"},
		"a comment like a rule":      {vxlanIn, []string{`-A INPUT -m comment --comment "a \"b\" -j ACCEPT" -j DROP`}, `dropped by rule -A INPUT -m comment --comment "a \"b\" -j ACCEPT" -j DROP`},
		"a limit":                    {vxlanIn, []string{"-P INPUT DROP", "-A INPUT -m limit --limit 5/min -j ACCEPT"}, "uncertain by its policy"},
		"a chain":                    {vxlanIn, []string{"-N FW", "-A INPUT -j FW", "-A FW -p tcp -j ACCEPT", "-A FW -j DROP"}, "dropped by rule -A FW -j DROP"},
		"a chain that returns":       {vxlanIn, []string{"-N FW", "-A INPUT -j FW", "-A FW -p udp -j RETURN", "-A FW -j DROP"}, "accepted"},
		"an unknown target":          {vxlanIn, []string{"-A INPUT -j NFQUEUE"}, "uncertain by rule -A INPUT -j NFQUEUE"},
		"pods' ports are not known":  {podsOut, []string{"-A FORWARD -p tcp -m tcp --dport 80 -j DROP"}, "accepted"},
		"pods' ports, then a drop":   {podsOut, []string{"-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT", "-A FORWARD -j DROP"}, "uncertain by rule -A FORWARD -j DROP"},
		"an address within the pods": {podsOut, []string{"-A FORWARD -s 10.5.34.7/32 -j DROP"}, "accepted"},
		"a prefix around the pods":   {podsOut, []string{"-A FORWARD -s 10.0.0.0/8 -j DROP"}, "dropped by rule -A FORWARD -s 10.0.0.0/8 -j DROP"},
	} {
		f, ok := ParseListing(lines(c.rules...)).Evaluate(c.packet)
		if !ok {
			t.Errorf("%s: the listing has no chain for the packets", name)
		}
		if got := outcomeText(f); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestListingWithoutAChain(t *testing.T) {
	if _, ok := ParseListing("").Evaluate(vxlanIn); ok {
		t.Error("an empty listing decides")
	}
	bridged := Packet{Traffic: Bridged}
	if _, ok := ParseListing(lines()).Evaluate(bridged); ok {
		t.Error("the filter table decides about frames of a bridge")
	}
}

func TestInsertPoint(t *testing.T) {
	const own = "-A FORWARD -s 10.5.0.0/16 -m comment --comment podlane -j ACCEPT"
	for name, c := range map[string]struct {
		rules []string
		want  InsertPoint
	}{
		"no drop":                       {nil, InsertPoint{}},
		"policy":                        {[]string{"-P FORWARD DROP"}, InsertPoint{Needed: true}},
		"a drop of everything":          {[]string{"-A FORWARD -i lo -j ACCEPT", "-A FORWARD -j DROP"}, InsertPoint{Needed: true, Index: 1, beforeDrop: true}},
		"a drop with a comment":         {[]string{"-A FORWARD -m comment --comment last -j DROP"}, InsertPoint{Needed: true, beforeDrop: true}},
		"a drop of one pod":             {[]string{"-A FORWARD -s 10.5.34.7/32 -j DROP"}, InsertPoint{Index: 1}},
		"a drop of one pod, policy":     {[]string{"-P FORWARD DROP", "-A FORWARD -s 10.5.34.7/32 -j DROP", "-A FORWARD -i lo -j ACCEPT"}, InsertPoint{Needed: true, Index: 1}},
		"an accept of everything":       {[]string{"-A FORWARD -j ACCEPT", "-A FORWARD -j DROP"}, InsertPoint{}},
		"a chain that drops":            {[]string{"-N FW", "-A FW -j DROP", "-A FORWARD -j FW"}, InsertPoint{Needed: true, beforeDrop: true}},
		"return before the policy":      {[]string{"-P FORWARD DROP", "-A FORWARD -i lo -j ACCEPT", "-A FORWARD -j RETURN"}, InsertPoint{Needed: true, Index: 1, beforeDrop: true}},
		"our own accept does not count": {[]string{own, "-A FORWARD -j DROP"}, InsertPoint{Needed: true, Index: 1, beforeDrop: true}},
	} {
		l := ParseListing(lines(c.rules...))
		isOwn := func(i int) bool { return strings.Contains(l.Rules("FORWARD")[i], "podlane") }
		got := l.InsertPoint([]Packet{podsOut}, isOwn)
		if diff := gocmp.Diff(c.want, got, gocmp.AllowUnexported(InsertPoint{})); diff != "" {
			t.Errorf("%s: insert point (-want +got):\n%s", name, diff)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		``:                                nil,
		`-p  udp -j DROP`:                 {"-p", "udp", "-j", "DROP"},
		`--comment "two words" -j DROP`:   {"--comment", "two words", "-j", "DROP"},
		`--comment "a \"quote\"" -j DROP`: {"--comment", `a "quote"`, "-j", "DROP"},
		`--comment "" -j DROP`:            {"--comment", "", "-j", "DROP"},
	} {
		if diff := gocmp.Diff(want, splitWords(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
