package annotation

import (
	"encoding/json"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/podlane/podlane/subnet"
)

const f = DefaultPrefix + "/"

var (
	mac     = subnet.MAC{0xc6, 0xd2, 0x32, 0x6f, 0x8f, 0x44}
	v4      = subnet.Endpoint{Subnet: netip.MustParsePrefix("10.244.1.0/24"), PublicIP: netip.MustParseAddr("192.168.64.3"), VNI: 1, MAC: mac}
	v6      = subnet.Endpoint{Subnet: netip.MustParsePrefix("fd00:5:1::/64"), PublicIP: netip.MustParseAddr("2001:db8::3"), VNI: 1, MAC: mac}
	podlane = subnet.Node{ID: "id-1", Name: "n1", Version: "v1"}
)

// The texts that flannel 0.28 writes.
const (
	flannelData = `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}`
	dualData    = `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","NodeID":"id-1","Node":"n1","Version":"v1","Digest":"30687c1947bb2d00"}`
	podlaneData = `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","NodeID":"id-1","Node":"n1","Version":"v1"}`
)

func keys(t testing.TB) Keys {
	t.Helper()
	k, err := NewKeys(DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func equalLeases(a, b subnet.Lease) bool { return a == b }

func TestReadsNodesThatFlannelWrites(t *testing.T) {
	v4Only := map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-data": flannelData, f + "public-ip": "192.168.64.3"}
	v6Only := map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-v6-data": flannelData, f + "public-ipv6": "2001:db8::3"}
	both := with(v4Only, f+"backend-v6-data", flannelData, f+"public-ipv6", "2001:db8::3")
	dualCIDRs := []string{"10.244.1.0/24", "fd00:5:1::/64"}
	for name, c := range map[string]struct {
		podCIDRs    []string
		annotations map[string]string
		want        subnet.Lease
	}{
		"IPv4":                             {[]string{"10.244.1.0/24"}, v4Only, subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"IPv6 alone":                       {[]string{"fd00:5:1::/64"}, v6Only, subnet.Lease{IPv6: v6, BackendType: "vxlan"}},
		"dual-stack":                       {dualCIDRs, both, subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan"}},
		"dual-stack, IPv6 first":           {[]string{"fd00:5:1::/64", "10.244.1.0/24"}, both, subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan"}},
		"both podCIDRs, IPv4 alone":        {dualCIDRs, v4Only, subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"both podCIDRs, IPv6 alone":        {dualCIDRs, v6Only, subnet.Lease{IPv6: v6, BackendType: "vxlan"}},
		"IPv6 was turned off":              {[]string{"10.244.1.0/24"}, both, subnet.Lease{IPv4: v4, IPv6: subnet.Endpoint{PublicIP: v6.PublicIP}, BackendType: "vxlan"}},
		"null as data":                     {dualCIDRs, with(v4Only, f+"backend-v6-data", "null"), subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"a podCIDR with bits of a host":    {[]string{"10.244.1.7/24"}, v4Only, subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"overwritten address":              {dualCIDRs, with(v4Only, f+"public-ip-overwrite", "192.168.64.9"), subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"before 0.15":                      {dualCIDRs, with(v4Only, f+"backend-data", `{"VtepMAC":"c6:d2:32:6f:8f:44"}`), subnet.Lease{IPv4: noVNI(v4), BackendType: "vxlan"}},
		"host-gw":                          {dualCIDRs, with(v4Only, f+"backend-type", "host-gw", f+"backend-data", "null"), subnet.Lease{IPv4: plain(v4), BackendType: "host-gw"}},
		"host-gw, IPv6 alone":              {dualCIDRs, with(v6Only, f+"backend-type", "host-gw", f+"public-ip", "0.0.0.0"), subnet.Lease{IPv6: plain(v6), BackendType: "host-gw"}},
		"wireguard":                        {dualCIDRs, with(v4Only, f+"backend-type", "wireguard", f+"backend-data", `{"PublicKey":"x="}`), subnet.Lease{IPv4: plain(v4), BackendType: "wireguard"}},
		"annotations of other programs":    {dualCIDRs, with(v4Only, "csi.volume.kubernetes.io/nodeid", "{}"), subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"a podlane node":                   {dualCIDRs, with(v4Only, f+"backend-data", podlaneData), subnet.Lease{IPv4: v4, BackendType: "vxlan", Node: podlane}},
		"fields of a later version":        {dualCIDRs, with(v4Only, f+"backend-data", `{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44","Later":[]}`), subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"a second podCIDR of one family":   {[]string{"10.244.1.0/24", "10.244.2.0/24"}, v4Only, subnet.Lease{IPv4: v4, BackendType: "vxlan"}},
		"a backend that podlane has never": {dualCIDRs, with(v4Only, f+"backend-type", "tencent-vpc"), subnet.Lease{IPv4: plain(v4), BackendType: "tencent-vpc"}},
	} {
		got, member, err := keys(t).Parse(c.podCIDRs, c.annotations)
		if err != nil || !member {
			t.Errorf("%s: member: %v, error %v", name, member, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.Comparer(equalLeases)); diff != "" {
			t.Errorf("%s: lease (-want +got):\n%s", name, diff)
		}
	}
}

func with(base map[string]string, changes ...string) map[string]string {
	m := maps.Clone(base)
	for i := 0; i < len(changes); i += 2 {
		m[changes[i]] = changes[i+1]
	}
	return m
}

// plain is a half of a backend whose data podlane does not parse.
func plain(e subnet.Endpoint) subnet.Endpoint {
	return subnet.Endpoint{Subnet: e.Subnet, PublicIP: e.PublicIP}
}

func noVNI(e subnet.Endpoint) subnet.Endpoint {
	e.VNI = 0
	return e
}

func TestNodesThatAreNoMembersAreIgnored(t *testing.T) {
	for name, annotations := range map[string]map[string]string{
		"no annotations":    nil,
		"not a member":      {f + "backend-type": "vxlan", f + "backend-data": flannelData, f + "public-ip": "192.168.64.3"},
		"member in capital": {f + "kube-subnet-manager": "True"},
		"another prefix":    {"example.org/kube-subnet-manager": "true"},
	} {
		if l, member, err := keys(t).Parse([]string{"10.244.1.0/24"}, annotations); member || err != nil || l != (subnet.Lease{}) {
			t.Errorf("%s: lease %v, member: %v, error %v", name, l, member, err)
		}
	}
}

func TestInvalidAnnouncements(t *testing.T) {
	base := map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-data": flannelData, f + "public-ip": "192.168.64.3"}
	cidr := []string{"10.244.1.0/24"}
	for name, c := range map[string]struct {
		podCIDRs    []string
		annotations map[string]string
		want        string
	}{
		"no podCIDR":                {nil, base, "no podCIDR"},
		"podCIDR is not a prefix":   {[]string{"10.244.1.0"}, base, `podCIDR "10.244.1.0" is not a prefix`},
		"podCIDR is everything":     {[]string{"0.0.0.0/0"}, base, "is not a prefix like"},
		"no data":                   {cidr, with(base, f+"backend-data", ""), "announce nothing for the podCIDR 10.244.1.0/24"},
		"null":                      {cidr, with(base, f+"backend-data", "null"), "announce nothing"},
		"the other family":          {[]string{"fd00:5:1::/64"}, base, "announce nothing for the podCIDR fd00:5:1::/64"},
		"data is not JSON":          {cidr, with(base, f+"backend-data", "{"), `BackendData is not JSON: "{"`},
		"data is a list":            {cidr, with(base, f+"backend-data", "[]"), "BackendData is an array"},
		"data is huge":              {cidr, with(base, f+"backend-data", strings.Repeat(" ", subnet.MaxValue)+flannelData), "more than 65536 bytes"},
		"no MAC":                    {cidr, with(base, f+"backend-data", "{}"), "VtepMAC"},
		"multicast MAC":             {cidr, with(base, f+"backend-data", `{"VtepMAC":"01:00:5e:00:00:01"}`), "multicast"},
		"VNI of 25 bits":            {cidr, with(base, f+"backend-data", `{"VNI":16777216,"VtepMAC":"c6:d2:32:6f:8f:44"}`), "VNI 16777216"},
		"no address":                {cidr, with(base, f+"public-ip", ""), "PublicIP is zero or missing"},
		"an address of nobody":      {cidr, with(base, f+"public-ip", "224.0.0.1"), "cannot be the address of a node"},
		"an IPv6 address":           {cidr, with(base, f+"public-ip", "2001:db8::1"), "is not an IPv4 address"},
		"not an address":            {cidr, with(base, f+"public-ip", "n1.example.org"), "is not an IPv4 address"},
		"a type with control codes": {cidr, with(base, f+"backend-type", "\x1b[2J"), "BackendType"},
		"no type":                   {cidr, with(base, f+"backend-type", "", f+"public-ip", ""), "announce nothing"},
		"a name with control codes": {cidr, with(base, f+"backend-data", `{"VtepMAC":"c6:d2:32:6f:8f:44","Node":"\u001b"}`), "printable"},
	} {
		l, member, err := keys(t).Parse(c.podCIDRs, c.annotations)
		if err == nil || !strings.Contains(err.Error(), c.want) || !member || l != (subnet.Lease{}) {
			t.Errorf("%s: lease %v, member: %v, error %v; want an error with %q", name, l, member, err, c.want)
		}
	}
}

// readAsFlannel returns what flannel's kube-subnet-mgr and its vxlan backend read of a Node in one family, or an error if
// they ignore the Node.
func readAsFlannel(annotations map[string]string, publicIP, backendData string) (ip net.IP, data struct {
	VNI     uint32
	VtepMAC string
}, member bool, err error) {
	if annotations[f+"kube-subnet-manager"] != "true" || annotations[f+"backend-type"] != "vxlan" {
		return nil, data, false, nil
	}
	err = json.Unmarshal([]byte(annotations[f+backendData]), &data)
	return net.ParseIP(annotations[f+publicIP]), data, true, err
}

func TestWritesNodesThatFlannelReads(t *testing.T) {
	for name, c := range map[string]struct {
		lease subnet.Lease
		want  map[string]string
	}{
		"IPv4": {subnet.Lease{IPv4: v4, BackendType: "vxlan", Node: podlane},
			map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-data": podlaneData, f + "public-ip": "192.168.64.3"}},
		"IPv4, on an underlay with both": {subnet.Lease{IPv4: v4, IPv6: subnet.Endpoint{PublicIP: v6.PublicIP}, BackendType: "vxlan", Node: podlane},
			map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-data": podlaneData, f + "public-ip": "192.168.64.3", f + "public-ipv6": "2001:db8::3"}},
		"IPv6 alone": {subnet.Lease{IPv6: v6, BackendType: "vxlan", Node: podlane},
			map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-v6-data": podlaneData, f + "public-ipv6": "2001:db8::3"}},
		"dual-stack": {subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan", Node: podlane},
			map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan", f + "backend-data": dualData, f + "public-ip": "192.168.64.3",
				f + "backend-v6-data": dualData, f + "public-ipv6": "2001:db8::3"}},
	} {
		got := keys(t).Annotations(c.lease, c.lease.Pair())
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: annotations (-want +got):\n%s", name, diff)
		}
		for _, half := range []struct {
			endpoint              subnet.Endpoint
			publicIP, backendData string
		}{{c.lease.IPv4, "public-ip", "backend-data"}, {c.lease.IPv6, "public-ipv6", "backend-v6-data"}} {
			if !half.endpoint.Subnet.IsValid() {
				continue
			}
			ip, data, member, err := readAsFlannel(got, half.publicIP, half.backendData)
			if err != nil || !member || ip.String() != half.endpoint.PublicIP.String() || data.VNI != 1 || data.VtepMAC != mac.String() {
				t.Errorf("%s: flannel reads %s, %+v, member: %v, error %v", name, ip, data, member, err)
			}
		}
	}
}

// In a dual-stack network, flannel 0.28 ignores an update of a Node unless a text of each family differs.
func TestFlannelNoticesAChangeOfOneFamily(t *testing.T) {
	before := subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan", Node: podlane}
	for name, change := range map[string]func(*subnet.Lease){
		"IPv4 address": func(l *subnet.Lease) { l.IPv4.PublicIP = l.IPv4.PublicIP.Next() },
		"IPv6 address": func(l *subnet.Lease) { l.IPv6.PublicIP = l.IPv6.PublicIP.Next() },
		"IPv4 MAC":     func(l *subnet.Lease) { l.IPv4.MAC[5]++ },
		"IPv6 MAC":     func(l *subnet.Lease) { l.IPv6.MAC[5]++ },
	} {
		after := before
		change(&after)
		old, changed := keys(t).Annotations(before, before.Pair()), keys(t).Annotations(after, after.Pair())
		for _, key := range []string{f + "backend-data", f + "backend-v6-data"} {
			if old[key] == changed[key] {
				t.Errorf("%s: %s stays %s", name, key, old[key])
			}
		}
	}
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	single := subnet.Lease{IPv4: v4, BackendType: "vxlan", Node: podlane}
	dual := subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan", Node: podlane}
	k := keys(t)
	of := func(l subnet.Lease) map[string]string { return k.Annotations(l, l.Pair()) }
	foreign := []string{f + "public-ip-overwrite", "192.168.64.9", f + "public-ipv6-overwrite", "2001:db8::9", f + "node-public-ip", "192.168.64.9", "example.org/x", "y"}
	for name, c := range map[string]struct {
		have  map[string]string
		lease subnet.Lease
		want  map[string]string // "-": the annotation is removed
	}{
		"a new Node":            {nil, single, of(single)},
		"the same":              {with(of(single), foreign...), single, map[string]string{}},
		"another address":       {with(of(single), f+"public-ip", "192.168.64.4"), single, map[string]string{f + "public-ip": "192.168.64.3"}},
		"IPv6 was turned off":   {with(of(dual), foreign...), single, map[string]string{f + "backend-data": podlaneData, f + "backend-v6-data": "-", f + "public-ipv6": "-"}},
		"IPv6 was turned on":    {of(single), dual, map[string]string{f + "backend-data": dualData, f + "backend-v6-data": dualData, f + "public-ipv6": "2001:db8::3"}},
		"IPv4 was turned off":   {of(dual), subnet.Lease{IPv6: v6, BackendType: "vxlan", Node: podlane}, map[string]string{f + "backend-v6-data": podlaneData, f + "backend-data": "-", f + "public-ip": "-"}},
		"flannel was here":      {with(of(single), f+"backend-data", flannelData), single, map[string]string{f + "backend-data": podlaneData}},
		"an empty annotation":   {with(of(single), f+"backend-v6-data", ""), single, map[string]string{f + "backend-v6-data": "-"}},
		"a person removed some": {map[string]string{f + "backend-data": podlaneData, f + "public-ip": "192.168.64.3"}, single, map[string]string{f + "kube-subnet-manager": "true", f + "backend-type": "vxlan"}},
	} {
		got := map[string]string{}
		for key, value := range k.Changes(c.have, c.lease, c.lease.Pair()) {
			got[key] = "-"
			if value != nil {
				got[key] = *value
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", name, diff)
		}
	}
}

// The Node has got other podCIDRs while its pods use the old ones.
func TestFormerSubnets(t *testing.T) {
	k := keys(t)
	single := subnet.Lease{IPv4: v4, BackendType: "vxlan", Node: podlane}
	dual := subnet.Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan", Node: podlane}
	others := subnet.Pair{IPv4: netip.MustParsePrefix("10.244.9.0/24"), IPv6: netip.MustParsePrefix("fd00:5:9::/64")}
	for name, c := range map[string]struct {
		lease    subnet.Lease
		podCIDRs subnet.Pair
		want     bool
	}{
		"the podCIDR":               {single, single.Pair(), false},
		"IPv4 of both podCIDRs":     {single, dual.Pair(), false},
		"another podCIDR":           {single, others, true},
		"no podCIDR":                {single, subnet.Pair{}, true},
		"both podCIDRs":             {dual, dual.Pair(), false},
		"another podCIDR of IPv6":   {dual, dual.Pair().With(subnet.IPv6, others.IPv6), true},
		"no podCIDR of IPv6":        {dual, single.Pair(), true},
		"IPv6 alone, other podCIDR": {subnet.Lease{IPv6: v6, BackendType: "vxlan", Node: podlane}, others, true},
	} {
		got, ok := k.FormerSubnets(k.Annotations(c.lease, c.podCIDRs))
		if ok != c.want || ok && got != c.lease {
			t.Errorf("%s: former %+v, %v; want %v", name, got, ok, c.want)
		}
	}
	former := k.Annotations(single, others)
	if want := strings.TrimSuffix(podlaneData, "}") + `,"Subnets":"10.244.1.0-24"}`; former[f+"backend-data"] != want {
		t.Errorf("backend-data is %s, want %s", former[f+"backend-data"], want)
	}
	for name, annotations := range map[string]map[string]string{
		"not a member":          with(former, f+"kube-subnet-manager", "false"),
		"not a pod subnet":      with(former, f+"backend-data", `{"VtepMAC":"c6:d2:32:6f:8f:44","Subnets":"10.244.1.7-24"}`),
		"not a text":            with(former, f+"backend-data", `{"VtepMAC":"c6:d2:32:6f:8f:44","Subnets":["10.244.1.0-24"]}`),
		"a family without data": with(former, f+"backend-data", `{"VtepMAC":"c6:d2:32:6f:8f:44","Subnets":"10.244.1.0-24&fd00:5:1::-64"}`),
		"no address":            with(former, f+"public-ip", ""),
	} {
		if got, ok := k.FormerSubnets(annotations); ok {
			t.Errorf("%s: former %+v", name, got)
		}
	}
}

func TestPrefixes(t *testing.T) {
	long := strings.Repeat("a", 45)
	for prefix, want := range map[string]string{
		DefaultPrefix:                      "flannel.alpha.coreos.com/backend-type",
		"flannel.alpha.coreos.com/":        "flannel.alpha.coreos.com/backend-type",
		"flannel.alpha.coreos.com/prefix":  "flannel.alpha.coreos.com/prefix-backend-type",
		"example.org/blue-":                "example.org/blue-backend-type",
		"example.org/9":                    "example.org/9-backend-type",
		"":                                 "",
		"example":                          "",
		"example/":                         "",
		"example/blue":                     "",
		"Example.org":                      "",
		"example.org/BLUE":                 "",
		"example.org/a/b":                  "",
		"example.org/-":                    "",
		"example .org":                     "",
		"example..org":                     "",
		"example.org/" + long:              "", // public-ipv6-overwrite would have more than 63 bytes
		strings.Repeat(long+".", 7) + "de": "",
	} {
		k, err := NewKeys(prefix)
		if k.BackendType != want || (err == nil) != (want != "") {
			t.Errorf("%q: backend-type is %q, want %q; error %v", prefix, k.BackendType, want, err)
		}
	}
}

// The pod subnet comes from the podCIDRs alone: no annotation can announce the subnet of another node.
func FuzzParse(f *testing.F) {
	f.Add("10.244.1.0/24", "fd00:5:1::/64", "vxlan", podlaneData, podlaneData, "192.168.64.3", "2001:db8::3")
	f.Add("10.244.1.0/24", "", "vxlan", flannelData, "", "192.168.64.3", "")
	f.Add("fd00:5:1::/64", "", "vxlan", "null", flannelData, "0.0.0.0", "2001:db8::3")
	f.Add("10.244.1.9/24", "fd00:5:1::/64", "host-gw", "null", "null", "192.168.64.3", "::")
	f.Add("10.244.1.0/24", "10.244.2.0/24", "vxlan", `{"VtepMAC":"c6d2.326f.8f44","Subnet":"10.244.9.0/24","Node":"\u003c"}`, `{}`, "192.168.64.3", "")
	k := keys(f)
	f.Fuzz(func(t *testing.T, cidr1, cidr2, backend, data, dataV6, ip, ipv6 string) {
		podCIDRs := []string{cidr1}
		if cidr2 != "" {
			podCIDRs = append(podCIDRs, cidr2)
		}
		l, member, err := k.Parse(podCIDRs, map[string]string{k.Member: "true", k.BackendType: backend, k.BackendData: data, k.BackendV6Data: dataV6,
			k.PublicIP: ip, k.PublicIPv6: ipv6, k.PublicIPOverwrite: ipv6, k.PublicIPv6Overwrite: ip})
		if !member {
			t.Fatal("not a member")
		}
		if err != nil {
			if l != (subnet.Lease{}) || len(err.Error()) > 500 {
				t.Errorf("%+v, %.500s", l, err)
			}
			return
		}
		pair, err := ParsePodCIDRs(podCIDRs)
		for _, family := range subnet.Families {
			if half := l.Endpoint(family).Subnet; err != nil || half.IsValid() && half != pair.Half(family) {
				t.Errorf("podCIDRs %q give the lease %s, error %v", podCIDRs, l, err)
			}
		}
		own := k.Annotations(l, l.Pair())
		back, _, err := k.Parse(podCIDRs, own)
		if err != nil || back != l {
			t.Errorf("%+v\nis read back as %+v, %v", l, back, err)
		}
		if former, ok := k.FormerSubnets(own); ok {
			t.Errorf("the podCIDRs count as former: %+v", former)
		}
		if former, ok := k.FormerSubnets(k.Annotations(l, subnet.Pair{})); !ok || former != l {
			t.Errorf("%+v\nis read as %+v, %v", l, former, ok)
		}
		if changes := k.Changes(own, l, l.Pair()); len(changes) > 0 {
			t.Errorf("changes without a difference: %v", changes)
		}
	})
}
