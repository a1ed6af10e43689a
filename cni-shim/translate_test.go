package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet"
)

var (
	ipv4Node = subnet.NodeFile{
		Network: subnet.Pair{IPv4: netip.MustParsePrefix("10.5.0.0/16")},
		Subnet:  subnet.Pair{IPv4: netip.MustParsePrefix("10.5.34.0/24")},
		MTU:     1450, IPMasq: true,
	}
	ipv6Node = subnet.NodeFile{
		Network: subnet.Pair{IPv6: netip.MustParsePrefix("fd00:5::/48")},
		Subnet:  subnet.Pair{IPv6: netip.MustParsePrefix("fd00:5:0:22::/64")},
		MTU:     1430, IPMasq: true,
	}
	dualNode = subnet.NodeFile{
		Network: subnet.Pair{IPv4: ipv4Node.Network.IPv4, IPv6: ipv6Node.Network.IPv6},
		Subnet:  subnet.Pair{IPv4: ipv4Node.Subnet.IPv4, IPv6: ipv6Node.Subnet.IPv6},
		MTU:     1450,
	}
)

const (
	ipv4IPAM = `{"ranges":[[{"subnet":"10.5.34.0/24"}]],"routes":[{"dst":"10.5.0.0/16"}],"type":"host-local"}`
	ipv6IPAM = `{"ranges":[[{"subnet":"fd00:5:0:22::/64"}]],"routes":[{"dst":"fd00:5::/48"}],"type":"host-local"}`
	dualIPAM = `{"ranges":[[{"subnet":"10.5.34.0/24"}],[{"subnet":"fd00:5:0:22::/64"}]],` +
		`"routes":[{"dst":"10.5.0.0/16"},{"dst":"fd00:5::/48"}],"type":"host-local"}`
	gateway = `"hairpinMode":true,"ipMasq":false,"ipam":` + ipv4IPAM + `,"isDefaultGateway":true,"isGateway":true,"mtu":1450,`
)

func TestTranslate(t *testing.T) {
	for name, c := range map[string]struct {
		node       subnet.NodeFile
		conf, want string
	}{
		"IPv4": {ipv4Node, `{"cniVersion":"1.0.0","name":"n","type":"podlane-cni"}`,
			`{"cniVersion":"1.0.0",` + gateway + `"name":"n","type":"bridge"}`},
		"IPv6": {ipv6Node, `{"name":"n","type":"podlane-cni"}`,
			`{"hairpinMode":true,"ipMasq":false,"ipam":` + ipv6IPAM + `,"isDefaultGateway":true,"isGateway":true,"mtu":1430,"name":"n","type":"bridge"}`},
		"dual-stack without masquerading": {dualNode, `{"name":"n"}`,
			`{"hairpinMode":true,"ipMasq":false,"ipam":` + dualIPAM + `,"isDefaultGateway":true,"isGateway":true,"mtu":1450,"name":"n","type":"bridge"}`},
		"our own keys do not reach the delegate": {ipv4Node, `{"name":"n","nodeFile":"/x","delegate":{}}`,
			`{` + gateway + `"name":"n","type":"bridge"}`},
		"null means absent": {ipv4Node, `{"name":"n","nodeFile":null,"delegate":null}`,
			`{` + gateway + `"name":"n","type":"bridge"}`},
		"the user's keys win over the node's": {ipv4Node,
			`{"name":"n","delegate":{"bridge":"br7","mtu":1300,"ipMasq":true,"hairpinMode":false,"isDefaultGateway":false}}`,
			`{"bridge":"br7","hairpinMode":false,"ipMasq":true,"ipam":` + ipv4IPAM + `,"isDefaultGateway":false,"isGateway":true,"mtu":1300,"name":"n","type":"bridge"}`},
		"no gateway means no default gateway": {ipv4Node, `{"name":"n","delegate":{"isGateway":false}}`,
			`{"hairpinMode":true,"ipMasq":false,"ipam":` + ipv4IPAM + `,"isDefaultGateway":false,"isGateway":false,"mtu":1450,"name":"n","type":"bridge"}`},
		"promiscuous mode excludes hairpin mode": {ipv4Node, `{"name":"n","delegate":{"promiscMode":true}}`,
			`{"hairpinMode":false,"ipMasq":false,"ipam":` + ipv4IPAM + `,"isDefaultGateway":true,"isGateway":true,"mtu":1450,"name":"n","promiscMode":true,"type":"bridge"}`},
		"the runtime's keys win over the user's": {ipv4Node,
			`{"name":"n","cniVersion":"1.1.0","runtimeConfig":{"mac":"02:00:00:00:00:01"},"prevResult":{"ips":[12345678901234567890]},
			  "args":{"cni":{}},"capabilities":{"mac":true},"dns":{"nameservers":["10.5.0.10"]},
			  "cni.dev/valid-attachments":[],"cni.dev/attachments":[],
			  "delegate":{"name":"x","cniVersion":"0.3.0","runtimeConfig":{},"vlan":3}}`,
			`{"args":{"cni":{}},"capabilities":{"mac":true},"cni.dev/attachments":[],"cni.dev/valid-attachments":[],"cniVersion":"1.1.0","dns":{"nameservers":["10.5.0.10"]},` +
				gateway + `"name":"n","prevResult":{"ips":[12345678901234567890]},"runtimeConfig":{"mac":"02:00:00:00:00:01"},"type":"bridge","vlan":3}`},
		"another plugin gets no bridge keys": {ipv4Node, `{"name":"n","delegate":{"type":"ptp"}}`,
			`{"ipMasq":false,"ipam":` + ipv4IPAM + `,"mtu":1450,"name":"n","type":"ptp"}`},
		"another IPAM plugin is left alone": {ipv4Node, `{"name":"n","delegate":{"type":"ptp","ipam":{"type":"dhcp","daemonSocketPath":"/x"}}}`,
			`{"ipMasq":false,"ipam":{"daemonSocketPath":"/x","type":"dhcp"},"mtu":1450,"name":"n","type":"ptp"}`},
		"host-local in part": {ipv4Node, `{"name":"n","delegate":{"type":"ptp","ipam":{"dataDir":"/d","resolvConf":"/r"}}}`,
			`{"ipMasq":false,"ipam":{"dataDir":"/d","ranges":[[{"subnet":"10.5.34.0/24"}]],"resolvConf":"/r","routes":[{"dst":"10.5.0.0/16"}],"type":"host-local"},"mtu":1450,"name":"n","type":"ptp"}`},
		"ipam at the top, as flannel has it": {ipv4Node, `{"name":"n","ipam":{"dataDir":"/d"},"delegate":{"type":"ptp"}}`,
			`{"ipMasq":false,"ipam":{"dataDir":"/d","ranges":[[{"subnet":"10.5.34.0/24"}]],"routes":[{"dst":"10.5.0.0/16"}],"type":"host-local"},"mtu":1450,"name":"n","type":"ptp"}`},
		"ranges of the user's own": {ipv4Node, `{"name":"n","delegate":{"type":"ptp","ipam":{"ranges":[[{"subnet":"10.5.34.0/25"}]]}}}`,
			`{"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.5.34.0/25"}]],"routes":[{"dst":"10.5.0.0/16"}],"type":"host-local"},"mtu":1450,"name":"n","type":"ptp"}`},
		"a range of the user's own, the old way": {ipv4Node, `{"name":"n","delegate":{"type":"ptp","ipam":{"subnet":"10.5.34.0/25"}}}`,
			`{"ipMasq":false,"ipam":{"routes":[{"dst":"10.5.0.0/16"}],"subnet":"10.5.34.0/25","type":"host-local"},"mtu":1450,"name":"n","type":"ptp"}`},
		"routes are added to the user's, none twice": {dualNode,
			`{"name":"n","delegate":{"type":"ptp","ipam":{"routes":[{"dst":"10.96.0.0/12","mtu":1300},{"dst":"10.5.9.9/16"}]}}}`,
			`{"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.5.34.0/24"}],[{"subnet":"fd00:5:0:22::/64"}]],"routes":[{"dst":"10.96.0.0/12","mtu":1300},{"dst":"10.5.9.9/16"},{"dst":"fd00:5::/48"}],"type":"host-local"},"mtu":1450,"name":"n","type":"ptp"}`},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := parse([]byte(c.conf))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsed.translate(c.node)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDelWithoutNodeFileGetsARange(t *testing.T) {
	got, err := prepare([]byte(`{"name":"n","type":"podlane-cni","nodeFile":"/run/none"}`), nodeOrPlaceholder)
	if want := `"ranges":[[{"subnet":"192.0.2.0/24"}]]`; err != nil || !strings.Contains(string(got.conf), want) {
		t.Errorf("got %s, %v; want %s in it", got.conf, err, want)
	}
}

func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"name":"n"`, `{"delegate":null}`, `{"delegate":{"ipam":null}}`, `{"ipam":null,"delegate":{"ipam":{}}}`,
		`{"name":"n","type":"podlane-cni","delegate":{"type":"ptp","ipam":{"type":"dhcp"}}}`,
		`{"delegate":{"ipam":{"routes":[{"dst":"10.0.0.0/8"},{"dst":"::/0","gw":"fd00::1"}]}}}`,
		`{"delegate":{"ipam":{"routes":[null,{}]}},"prevResult":{"a":1e999}}`, `{"delegate":{"type":"../x"}}`, `{"name":"\ud800<&>"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil {
			return
		}
		for _, n := range []subnet.NodeFile{ipv4Node, ipv6Node, dualNode} {
			conf, err := c.translate(n)
			if err != nil {
				return
			}
			checkTranslated(t, data, conf)
		}
	})
}

// checkTranslated checks what is true for every configuration. It has a plugin and an IPAM plugin, and host-local has a
// range. The keys of the top level are unchanged.
func checkTranslated(t *testing.T, from, to []byte) {
	var was, is object
	var ipam struct {
		Type           string
		Ranges, Subnet json.RawMessage
	}
	if json.Unmarshal(from, &was) != nil || json.Unmarshal(to, &is) != nil || json.Unmarshal(is["ipam"], &ipam) != nil {
		t.Fatalf("not JSON: %s", to)
	}
	if len(is["type"]) < 3 || ipam.Type == hostLocal && ipam.Ranges == nil && ipam.Subnet == nil {
		t.Errorf("incomplete: %s", to)
	}
	for key, value := range was {
		switch key {
		case "type", "nodeFile", "delegate", "ipam":
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			t.Fatal(err)
		}
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, compact.Bytes())
		if got := is[key]; !bytes.Equal(got, escaped.Bytes()) {
			t.Errorf("key %q was %s and is %s", key, value, got)
		}
	}
}
