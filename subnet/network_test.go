package subnet

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func rangeOf(prefixText string, length int, first, last string) Range {
	return Range{Prefix: prefix(prefixText), SubnetLen: length, Min: addr(first), Max: addr(last)}
}

var defaultVXLAN = VXLAN{VNI: 1, Port: 8472}

// The values are those of flannel's ParseConfig and CheckNetworkConfig for the same text.
func TestConfigurationHasFlannelsDefaults(t *testing.T) {
	for config, want := range map[string]Network{
		`{"Network":"10.5.0.0/16"}`:                                                  {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"Network":"10.5.3.7/16"}`:                                                  {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"network":"10.5.0.0/16","SUBNETLEN":28}`:                                   {IPv4: rangeOf("10.5.0.0/16", 28, "10.5.0.16", "10.5.255.240")},
		`{"Network":"10.5.0.0/22"}`:                                                  {IPv4: rangeOf("10.5.0.0/22", 24, "10.5.1.0", "10.5.3.0")},
		`{"Network":"10.5.0.0/23"}`:                                                  {IPv4: rangeOf("10.5.0.0/23", 25, "10.5.0.128", "10.5.1.128")},
		`{"Network":"10.5.0.0/28"}`:                                                  {IPv4: rangeOf("10.5.0.0/28", 30, "10.5.0.4", "10.5.0.12")},
		`{"Network":"10.0.0.0/8","SubnetLen":10}`:                                    {IPv4: rangeOf("10.0.0.0/8", 10, "10.64.0.0", "10.192.0.0")},
		`{"Network":"128.0.0.0/1"}`:                                                  {IPv4: rangeOf("128.0.0.0/1", 24, "128.0.1.0", "255.255.255.0")},
		`{"Network":"0.0.0.0/1","SubnetLen":3}`:                                      {IPv4: rangeOf("0.0.0.0/1", 3, "32.0.0.0", "96.0.0.0")},
		`{"Network":"10.5.0.0/16","SubnetLen":0}`:                                    {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.0.0"}`:                           {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.0.0", "10.5.255.0")},
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.9.0"}`:    {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.9.0", "10.5.9.0")},
		`{"Network":"10.5.0.0/16","SubnetMin":"0.0.0.0","SubnetMax":"0.0.0.0"}`:      {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"Network":"10.5.0.0/16","SubnetMin":null,"SubnetLen":null,"Backend":null}`: {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"EnableIPv4":null,"Network":"10.5.0.0/16","EnableIPv6":null}`:              {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		`{"Network":"10.5.0.0/16","Network":"10.6.0.0/16"}`:                          {IPv4: rangeOf("10.6.0.0/16", 24, "10.6.1.0", "10.6.255.0")},
		"\n\t{\"Network\":\"10.5.0.0/16\"}\n":                                        {IPv4: rangeOf("10.5.0.0/16", 24, "10.5.1.0", "10.5.255.0")},
		// IPv6 needs EnableIPv6. IPv6 only also needs EnableIPv4 false.
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48"}`:                      {IPv6: rangeOf("fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::")},
		`{"enableIPv4":false,"enableIPv6":true,"ipv6Network":"fc00::/62"}`:                      {IPv6: rangeOf("fc00::/62", 64, "fc00:0:0:1::", "fc00:0:0:3::")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/63"}`:                      {IPv6: rangeOf("fc00::/63", 65, "fc00:0:0:0:8000::", "fc00:0:0:1:8000::")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/124"}`:                     {IPv6: rangeOf("fc00::/124", 126, "fc00::4", "fc00::c")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetLen":124}`:  {IPv6: rangeOf("fc00::/48", 124, "fc00::10", "fc00:0:0:ffff:ffff:ffff:ffff:fff0")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":3}`:     {IPv6: rangeOf("8000::/1", 3, "a000::", "e000::")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetMin":"::"}`: {IPv6: rangeOf("fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetMax":null}`: {IPv6: rangeOf("fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::")},
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","Network":"nonsense"}`: {IPv6: rangeOf("fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::")},
		`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","SubnetLen":26}`: {
			IPv4: rangeOf("10.5.0.0/16", 26, "10.5.0.64", "10.5.255.192"), IPv6: rangeOf("fc00::/48", 64, "fc00:0:0:1::", "fc00:0:0:ffff::"),
		},
	} {
		t.Run(config, func(t *testing.T) {
			got, _, err := ParseNetwork([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			want.VXLAN = defaultVXLAN
			if d := diff(want, got); d != "" {
				t.Errorf("network (-want +got):\n%s", d)
			}
		})
	}
}

func TestBackendConfiguration(t *testing.T) {
	for backend, want := range map[string]VXLAN{
		`{}`:                                 defaultVXLAN,
		`null`:                               defaultVXLAN,
		`{"Type":"VXLAN"}`:                   defaultVXLAN,
		`{"Type":"vxlan","VNI":null}`:        defaultVXLAN,
		`{"Type":"vxlan","Port":0,"MTU":0}`:  defaultVXLAN,
		`{"type":"vxlan","vni":5,"PORT":51}`: {VNI: 5, Port: 51},
		`{"VNI":16777215,"Port":65535,"MTU":65535,"GBP":true,"Learning":true,"DirectRouting":true}`: {
			VNI: 1<<24 - 1, Port: 65535, MTU: 65535, GBP: true, Learning: true, DirectRouting: true},
		`{"MTU":576}`: {VNI: 1, Port: 8472, MTU: 576},
		// If Backend appears twice, the last value replaces the first as a whole.
		`{"VNI":9,"Port":9},"backend":{"Port":4789}`: {VNI: 1, Port: 4789},
	} {
		t.Run(backend, func(t *testing.T) {
			got := network(t, `{"Network":"10.5.0.0/16","Backend":`+backend+`}`).VXLAN
			if d := diff(want, got); d != "" {
				t.Errorf("VXLAN (-want +got):\n%s", d)
			}
		})
	}
}

func TestInvalidConfiguration(t *testing.T) {
	v6 := `"EnableIPv4":false,"EnableIPv6":true,`
	for config, want := range map[string]string{
		"":                                      "empty",
		" \n\t ":                                "empty",
		"{":                                     "unexpected end of JSON input",
		`{"Network":"10.5.0.0/16"} x`:           "invalid character 'x'",
		`null`:                                  "Network is missing (EnableIPv4 is true)",
		`[]`:                                    "it is an array: want an object",
		`"a"`:                                   "it is a string: want an object",
		`17`:                                    "it is a number: want an object",
		`{}`:                                    "Network is missing",
		`{"Network":null}`:                      "Network is missing",
		`{"Network":5}`:                         "Network is a number: want a string",
		`{"Network":["10.5.0.0/16"]}`:           "Network is an array: want a string",
		`{"Network":"10.5.0.0"}`:                `Network "10.5.0.0" is not an IPv4 prefix like 10.5.0.0/16`,
		`{"Network":"10.5.0.0/33"}`:             `Network "10.5.0.0/33" is not an IPv4 prefix`,
		`{"Network":"10.5.0.0/-1"}`:             `Network "10.5.0.0/-1" is not an IPv4 prefix`,
		`{"Network":"fd00::/48"}`:               `Network "fd00::/48" is not an IPv4 prefix`,
		`{"Network":"::ffff:10.5.0.0/112"}`:     `is not an IPv4 prefix`,
		`{"Network":"0.0.0.0/0"}`:               "Network 0.0.0.0/0 is the whole Internet",
		`{"Network":"127.0.0.0/8"}`:             "Network 127.0.0.0/8 cannot be the network of pods",
		`{"Network":"239.1.0.0/16"}`:            "Network 239.1.0.0/16 cannot be the network of pods",
		`{` + v6 + `"IPv6Network":"fe80::/48"}`: "IPv6Network fe80::/48 cannot be the network of pods",
		`{"Network":"10.5.0.0/29"}`:             "Network 10.5.0.0/29 is too small: /28 at the most",
		`{"Network":"10.5.0.0/32","SubnetLen":30}`:                                                     "Network 10.5.0.0/32 is too small",
		`{"Network":"10.5.0.0/16","SubnetLen":17}`:                                                     "SubnetLen 17 leaves fewer than four subnets in Network 10.5.0.0/16",
		`{"Network":"10.5.0.0/16","SubnetLen":8}`:                                                      "SubnetLen 8 leaves fewer than four subnets",
		`{"Network":"10.5.0.0/16","SubnetLen":31}`:                                                     "SubnetLen 31 is not between 1 and 30",
		`{"Network":"10.5.0.0/16","SubnetLen":-1}`:                                                     "SubnetLen -1 is not between 1 and 30",
		`{"Network":"10.5.0.0/16","SubnetLen":"24"}`:                                                   "SubnetLen is a string: want a whole number",
		`{"Network":"10.5.0.0/16","SubnetLen":24.5}`:                                                   "SubnetLen is a number 24.5: want a whole number",
		`{"Network":"10.5.0.0/16","SubnetLen":4294967320}`:                                             "SubnetLen 4294967320 is not between 1 and 30",
		`{"Network":"10.5.0.0/16","SubnetLen":99999999999999999999}`:                                   "SubnetLen is a number 99999999999999999999: want a whole number",
		`{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}`:                                             `SubnetMin "10.6.0.0" is not an address in 10.5.0.0/16`,
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0/24"}`:                                          `SubnetMin "10.5.1.0/24" is not an address`,
		`{"Network":"10.5.0.0/16","SubnetMin":"::"}`:                                                   `SubnetMin "::" is not an address in 10.5.0.0/16`,
		`{"Network":"10.5.0.0/16","SubnetMin":"::ffff:10.5.1.0"}`:                                      `is not an address in 10.5.0.0/16`,
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.1"}`:                                             "SubnetMin 10.5.1.1 does not begin a /24: the nearest that does is 10.5.1.0",
		`{"Network":"10.5.0.0/16","SubnetMax":"10.4.255.0"}`:                                           `SubnetMax "10.4.255.0" is not an address in 10.5.0.0/16`,
		`{"Network":"10.5.0.0/16","SubnetMax":"10.5.255.255"}`:                                         "SubnetMax 10.5.255.255 does not begin a /24: the nearest that does is 10.5.255.0",
		`{"Network":"10.5.0.0/16","SubnetMax":"10.5.0.0"}`:                                             "SubnetMin 10.5.1.0 is above SubnetMax 10.5.0.0",
		`{"Network":"10.5.0.0/16","SubnetMin":"10.5.8.0","SubnetMax":"10.5.7.0"}`:                      "SubnetMin 10.5.8.0 is above SubnetMax 10.5.7.0",
		`{"EnableIPv4":false}`:                                                                         "EnableIPv4 and EnableIPv6 are both false",
		`{"EnableIPv4":"yes","Network":"10.5.0.0/16"}`:                                                 "EnableIPv4 is a string: want true or false",
		`{"Network":"10.5.0.0/16","EnableIPv6":true}`:                                                  "IPv6Network is missing (EnableIPv6 is true)",
		`{"EnableIPv6":true,"IPv6Network":"fc00::/48"}`:                                                "Network is missing (EnableIPv4 is true)",
		`{` + v6 + `"IPv6Network":"10.5.0.0/16"}`:                                                      `IPv6Network "10.5.0.0/16" is not an IPv6 prefix like fd00:5::/48`,
		`{` + v6 + `"IPv6Network":"::ffff:10.5.0.0/112"}`:                                              "is not an IPv6 prefix",
		`{` + v6 + `"IPv6Network":"fc00::%eth0/48"}`:                                                   "is not an IPv6 prefix",
		`{` + v6 + `"IPv6Network":"::/0"}`:                                                             "IPv6Network ::/0 is the whole Internet",
		`{` + v6 + `"IPv6Network":"fc00::/125"}`:                                                       "IPv6Network fc00::/125 is too small: /124 at the most",
		`{` + v6 + `"IPv6Network":"fc00::/48","IPv6SubnetLen":127}`:                                    "IPv6SubnetLen 127 is not between 1 and 126",
		`{` + v6 + `"IPv6Network":"fc00::/48","IPv6SubnetLen":49}`:                                     "IPv6SubnetLen 49 leaves fewer than four subnets in IPv6Network fc00::/48",
		`{` + v6 + `"IPv6Network":"fc00::/48","IPv6SubnetMin":"fc00:0:1::"}`:                           `IPv6SubnetMin "fc00:0:1::" is not an address in fc00::/48`,
		`{` + v6 + `"IPv6Network":"fc00::/48","IPv6SubnetMin":"fc00::1"}`:                              "IPv6SubnetMin fc00::1 does not begin a /64: the nearest that does is fc00::",
		`{` + v6 + `"IPv6Network":"fc00::/48","IPv6SubnetMax":"fc00:0:0:5::%eth0"}`:                    "is not an address in fc00::/48",
		`{"Network":"10.5.0.0/16","Backend":[]}`:                                                       "Backend is an array: want an object",
		`{"Network":"10.5.0.0/16","Backend":"vxlan"}`:                                                  "Backend is a string: want an object",
		`{"Network":"10.5.0.0/16","Backend":{"Type":"udp"}}`:                                           `Backend.Type "udp" is unknown: the one backend is "vxlan"`,
		`{"Network":"10.5.0.0/16","Backend":{"Type":7}}`:                                               "Backend.Type is a number: want a string",
		`{"Network":"10.5.0.0/16","Backend":{"VNI":0}}`:                                                "Backend.VNI 0 is not between 1 and 16777215",
		`{"Network":"10.5.0.0/16","Backend":{"VNI":-1}}`:                                               "Backend.VNI -1 is not between",
		`{"Network":"10.5.0.0/16","Backend":{"VNI":16777216}}`:                                         "Backend.VNI 16777216 is not between",
		`{"Network":"10.5.0.0/16","Backend":{"VNI":4294967297}}`:                                       "Backend.VNI 4294967297 is not between",
		`{"Network":"10.5.0.0/16","Backend":{"VNI":18446744073709551617}}`:                             "Backend.VNI is a number 18446744073709551617: want a whole number",
		`{"Network":"10.5.0.0/16","Backend":{"Port":-1}}`:                                              "Backend.Port -1 is not between 1 and 65535",
		`{"Network":"10.5.0.0/16","Backend":{"Port":65536}}`:                                           "Backend.Port 65536 is not between 1 and 65535",
		`{"Network":"10.5.0.0/16","Backend":{"Port":74008}}`:                                           "Backend.Port 74008 is not between 1 and 65535",
		`{"Network":"10.5.0.0/16","Backend":{"MTU":575}}`:                                              "Backend.MTU 575 is not between 576 and 65535",
		`{` + v6 + `"IPv6Network":"fc00::/48","Backend":{"MTU":1279}}`:                                 "Backend.MTU 1279 is not between 1280 and 65535",
		`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"MTU":1279}}`: "Backend.MTU 1279 is not between 1280 and 65535",
		`{"Network":"10.5.0.0/16","Backend":{"MTU":65536}}`:                                            "Backend.MTU 65536 is not between",
		`{"Network":"10.5.0.0/16","Backend":{"GBP":"true"}}`:                                           "Backend.GBP is a string: want true or false",
		// The error is short for any input (see wantError).
		`{"Network":"` + strings.Repeat("1", 60_000) + `"}`:                                  "is not an IPv4 prefix",
		`{"Network":"10.5.0.0/16","SubnetLen":` + strings.Repeat("1", 60_000) + `}`:          "want a whole number",
		`{"Network":"10.5.0.0/16","SubnetMin":"` + strings.Repeat("1", 60_000) + `"}`:        "is not an address",
		`{"Network":"10.5.0.0/16","Backend":{"Type":"` + strings.Repeat("x", 60_000) + `"}}`: "is unknown",
		`{"x":` + strings.Repeat("[", 60_000):                                                "exceeded max depth",
	} {
		t.Run(config[:min(len(config), 90)], func(t *testing.T) {
			n, warnings, err := ParseNetwork([]byte(config))
			wantError(t, err, want)
			if err != nil && !strings.HasPrefix(err.Error(), "network configuration: ") {
				t.Errorf("error %q does not name the network configuration", err)
			}
			if n != (Network{}) || warnings != nil {
				t.Errorf("an error comes with %+v and %q", n, warnings)
			}
		})
	}
}

func TestUnknownAndRepeatedKeysGiveWarnings(t *testing.T) {
	unknown := func(key string) string { return `network configuration: unknown key "` + key + `" is ignored` }
	var many strings.Builder
	for i := range 1000 {
		many.WriteString(`,"x` + strconv.Itoa(i) + `":0`)
	}
	for config, want := range map[string][]string{
		`{"Network":"10.5.0.0/16"}`: nil,
		`{"network":"10.5.0.0/16","subnetlen":24,"SUBNETMIN":"","enableNFTables":true}`:            nil,
		`{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","Name":"x","MacPrefix":"0E-2A"}}`:      nil,
		`{"Network":"10.5.0.0/16","Zebra":{"a":1},"Apple":1}`:                                      {unknown("Zebra"), unknown("Apple")},
		`{"Network":"10.5.0.0/16","SubnetLength":24,"Backend":{"PSK":"x","Vni":2}}`:                {unknown("SubnetLength"), unknown("Backend.PSK")},
		`{"Network":"10.5.0.0/16","Name":"x","Backend":{"EnableNFTables":true}}`:                   {unknown("Name"), unknown("Backend.EnableNFTables")},
		`{"Network":"10.5.0.0/16","VNI":2}`:                                                        {unknown("VNI")},
		`{"Network":"10.5.0.0/16","":1}`:                                                           {unknown("")},
		`{"Network":"10.5.0.0/16","SubnetLen":25,"subnetLen":26}`:                                  {`network configuration: key "SubnetLen" appears twice: the last one is used`},
		`{"Network":"10.5.0.0/16","Backend":{"VNI":2,"VNI":3}}`:                                    {`network configuration: key "Backend.VNI" appears twice: the last one is used`},
		`{"Network":"10.5.0.0/16","IPv6Network":"fd00::/48"}`:                                      {"network configuration: IPv6Network is ignored: EnableIPv6 is not true"},
		`{"Network":"10.5.0.0/16","` + strings.Repeat("k", 5000) + `":1}`:                          {unknown(strings.Repeat("k", 60))},
		`{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}`:                    nil,
		`{"Network":"10.5.0.0/16"` + many.String() + `}`:                                           slices.Repeat([]string{""}, maxWarnings),
		`{"Network":"10.5.0.0/16","Backend":{"Port":1` + many.String() + `}` + many.String() + `}`: slices.Repeat([]string{""}, maxWarnings),
	} {
		t.Run(config[:min(len(config), 90)], func(t *testing.T) {
			_, got, err := ParseNetwork([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			if len(want) == maxWarnings { // only their number matters
				want = slices.Clone(got)[:maxWarnings]
			}
			if d := diff(want, got); d != "" {
				t.Errorf("warnings (-want +got):\n%s", d)
			}
		})
	}
}

func TestOnlySubnetsOfTheRangeFit(t *testing.T) {
	n := network(t, `{"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.9.0","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`)
	for _, c := range []struct {
		pair Pair
		fits bool
	}{
		{pair("10.5.4.0/24", "fd00:5:0:1::/64"), true},
		{pair("10.5.9.0/24", "fd00:5:0:ffff::/64"), true},
		{pair("10.5.3.0/24", "fd00:5:0:1::/64"), false},  // below SubnetMin
		{pair("10.5.10.0/24", "fd00:5:0:1::/64"), false}, // above SubnetMax
		{pair("10.5.4.0/25", "fd00:5:0:1::/64"), false},  // of another length
		{pair("10.5.4.1/24", "fd00:5:0:1::/64"), false},  // not its first address
		{pair("10.5.4.0/24", "fd00:5::/64"), false},      // below IPv6SubnetMin: the first is skipped
		{pair("10.5.4.0/24", "fd00:6:0:1::/64"), false},  // outside the network
		{pair("10.5.4.0/24"), false},                     // no IPv6 half
		{pair("fd00:5:0:1::/64"), false},                 // no IPv4 half
		{Pair{}, false},
		{Pair{IPv4: prefix("fd00:5:0:1::/64"), IPv6: prefix("10.5.4.0/24")}, false},
	} {
		if got := n.Fits(c.pair); got != c.fits {
			t.Errorf("Fits(%s) = %v", c.pair, got)
		}
	}
	v4 := network(t, `{"Network":"10.5.0.0/16"}`)
	if v4.Fits(pair("10.5.4.0/24", "fd00:5:0:1::/64")) || !v4.Fits(pair("10.5.4.0/24")) {
		t.Error("a half of a family that is off fits, or a pair without it does not")
	}
	if (Range{}).Fits(prefix("10.5.4.0/24")) {
		t.Error("a subnet fits a range that is off")
	}
	if (Network{}).Fits(pair("10.5.4.0/24")) {
		t.Error("a pair fits a network without a range")
	}
}

func TestPrefixesOfTheNetwork(t *testing.T) {
	if d := diff([]netip.Prefix{prefix("10.5.0.0/16"), prefix("fd00:5::/48")}, dualStack(t).Prefixes()); d != "" {
		t.Errorf("dual-stack (-want +got):\n%s", d)
	}
	ipv6 := network(t, `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}`)
	if d := diff([]netip.Prefix{prefix("fd00:5::/48")}, ipv6.Prefixes()); d != "" {
		t.Errorf("IPv6 only (-want +got):\n%s", d)
	}
}

func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{
		"", "null", "[]", `{"Network":"10.5.0.0/16"}`, `{"Network":"10.5.0.0/28","SubnetLen":30}`,
		`{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"8000::/1","IPv6SubnetLen":126}`,
		`{"Network":"128.0.0.0/1","SubnetLen":3,"SubnetMin":"160.0.0.0","SubnetMax":"224.0.0.0"}`,
		`{"network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetMin":"fd00:5:0:7::","Backend":{"Type":"vxlan","VNI":3,"Port":4789,"MTU":1400,"GBP":true}}`,
		`{"Network":"10.5.0.0/16","SubnetLen":99999999999999999999,"Backend":{"VNI":"1"}}`,
		`{"Network":"10.5.0.0/16","x":1,"Backend":{"y":[{}]},"Backend":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, warnings, err := ParseNetwork(data)
		if err != nil {
			wantError(t, err, "network configuration: ")
			return
		}
		if len(warnings) > maxWarnings {
			t.Errorf("%d warnings", len(warnings))
		}
		v := n.VXLAN
		if v.VNI < 1 || v.VNI > MaxVNI {
			t.Errorf("VNI %d is out of range", v.VNI)
		}
		if v.Port == 0 {
			t.Error("the port is 0")
		}
		if v.MTU != 0 && (v.MTU < n.MinMTU() || v.MTU > 65535) {
			t.Errorf("MTU %d is out of range", v.MTU)
		}
		if len(n.Prefixes()) == 0 {
			t.Error("no family is on")
		}
		for _, f := range Families {
			r := n.Range(f)
			if !r.On() {
				continue
			}
			if !aligned(r.Prefix) || FamilyOf(r.Prefix.Addr()) != f {
				t.Errorf("%s is not an aligned %s prefix", r.Prefix, f)
			}
			if r.SubnetLen < r.Prefix.Bits()+2 || r.SubnetLen > f.Bits()-2 {
				t.Errorf("SubnetLen %d is out of range in %s", r.SubnetLen, r.Prefix)
			}
			for _, a := range []string{r.Min.String(), r.Max.String()} {
				if p := prefix(a + "/" + strconv.Itoa(r.SubnetLen)); !r.Fits(p) || !Contains(r.Prefix, p) {
					t.Errorf("%s does not fit %+v", p, r)
				}
			}
		}
		checkChoices(t, n, nil, string(data))
	})
}
