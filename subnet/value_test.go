package subnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

var flannelMAC = MAC{0xc6, 0xd2, 0x32, 0x6f, 0x8f, 0x44}

// The texts are what flannel 0.28 writes: LeaseAttrs and vxlanLeaseAttrs through encoding/json.
func TestReadsLeasesThatFlannelWrites(t *testing.T) {
	v4 := Endpoint{Subnet: prefix("10.5.52.0/24"), PublicIP: addr("192.168.64.3"), VNI: 1, MAC: flannelMAC}
	v6 := Endpoint{Subnet: prefix("fd00:5:22::/64"), PublicIP: addr("2001:db8::3"), VNI: 1, MAC: flannelMAC}
	for _, c := range []struct {
		name, key, value string
		want             Lease
	}{
		{"IPv4", "10.5.52.0-24",
			`{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
			Lease{IPv4: v4, BackendType: "vxlan"}},
		{"dual-stack", "10.5.52.0-24&fd00:5:22::-64",
			`{"PublicIP":"192.168.64.3","PublicIPv6":"2001:db8::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
			Lease{IPv4: v4, IPv6: v6, BackendType: "vxlan"}},
		{"IPv6 alone", "0.0.0.0-0&fd00:5:22::-64",
			`{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::3","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
			Lease{IPv6: v6, BackendType: "vxlan"}},
		{"before 0.15", "10.5.52.0-24",
			`{"PublicIP":"192.168.64.3","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
			Lease{IPv4: Endpoint{Subnet: v4.Subnet, PublicIP: v4.PublicIP, MAC: flannelMAC}, BackendType: "vxlan"}},
		{"host-gw", "10.5.52.0-24", `{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"host-gw"}`,
			Lease{IPv4: Endpoint{Subnet: v4.Subnet, PublicIP: v4.PublicIP}, BackendType: "host-gw"}},
		{"wireguard", "10.5.52.0-24", `{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"wireguard","BackendData":{"PublicKey":"x="}}`,
			Lease{IPv4: Endpoint{Subnet: v4.Subnet, PublicIP: v4.PublicIP}, BackendType: "wireguard"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseLease(c.key, []byte(c.value))
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(c.want, got); d != "" {
				t.Errorf("lease (-want +got):\n%s", d)
			}
		})
	}
}

// flannelValue is what flannel reads of a lease.
type flannelValue struct {
	PublicIP      string
	PublicIPv6    *string
	BackendType   string
	BackendData   json.RawMessage
	BackendV6Data json.RawMessage
}

func TestWritesLeasesThatFlannelReads(t *testing.T) {
	node := `"NodeID":"id-7","Node":"n7","Version":"v1"}`
	for _, c := range []struct {
		pair         Pair
		value        string
		hasV4, hasV6 bool
	}{
		{pair("10.5.34.0/24"),
			`{"PublicIP":"192.0.0.7","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"` + MACFor(prefix("10.5.34.0/24")).String() + `",` + node + `}`, true, false},
		{pair("10.5.34.0/24", "fd00:5:22::/64"),
			`{"PublicIP":"192.0.0.7","PublicIPv6":"2001:db8::7","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"` + MACFor(prefix("10.5.34.0/24")).String() + `",` + node +
				`,"BackendV6Data":{"VNI":1,"VtepMAC":"` + MACFor(prefix("fd00:5:22::/64")).String() + `",` + node + `}`, true, true},
		// BackendData must be absent, not null. flannel expects an IPv4 half in every key and accepts a null. It would then
		// route 0.0.0.0/0 to this peer.
		{pair("fd00:5:22::/64"),
			`{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::7","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"` + MACFor(prefix("fd00:5:22::/64")).String() + `",` + node + `}`, false, true},
	} {
		t.Run(c.pair.String(), func(t *testing.T) {
			lease := record(7, c.pair).Lease
			if d := diff(c.value, string(lease.Value())); d != "" {
				t.Errorf("value (-want +got):\n%s", d)
			}
			back, err := ParseLease(c.pair.Key(), lease.Value())
			if err != nil {
				t.Fatal(err)
			}
			if d := diff(lease, back); d != "" {
				t.Errorf("parsed lease (-want +got):\n%s", d)
			}
			var v flannelValue
			if err := json.Unmarshal(lease.Value(), &v); err != nil {
				t.Fatal(err)
			}
			if (v.BackendData != nil) != c.hasV4 || (v.BackendV6Data != nil) != c.hasV6 {
				t.Errorf("flannel would read %s and %s", v.BackendData, v.BackendV6Data)
			}
		})
	}
}

func TestLeaseWithoutVNIIsWrittenWithoutVNI(t *testing.T) {
	l := record(7, pair("10.5.34.0/24")).Lease
	l.IPv4.VNI = 0
	if strings.Contains(string(l.Value()), "VNI") {
		t.Error(string(l.Value()))
	}
}

func TestMalformedLeases(t *testing.T) {
	const mac = `"VtepMAC":"c6:d2:32:6f:8f:44"`
	v4 := func(ip, data string) string {
		return `{"PublicIP":` + ip + `,"BackendType":"vxlan","BackendData":` + data + `}`
	}
	good := `"192.0.2.1"`
	for _, c := range []struct{ value, want string }{
		{v4(good, `{`+mac+`}`), ""},
		{v4(good, `{`+mac+`,"VNI":null,"Node":null,"More":[{}]}`), ""},
		{v4(`"169.254.1.1"`, `{`+mac+`}`), ""},
		{"", "unexpected end of JSON input"},
		{"null", "PublicIP is zero or missing"},
		{"[]", "value is not a lease: it is an array: want an object"},
		{`"x"`, "value is not a lease: it is a string"},
		{"{}", "PublicIP is zero or missing"},
		{v4(good, `{`+mac+`}`) + "x", "invalid character 'x' after top-level value"},
		{v4(good, `{`+mac+`}`)[:40], "unexpected end of JSON input"},
		{strings.Repeat(" ", MaxValue) + "{}", "value has more than 65536 bytes"},
		{strings.Repeat("[", MaxValue), "exceeded max depth"},
		{v4(`"0.0.0.0"`, `{`+mac+`}`), "PublicIP is zero or missing"},
		{v4(`""`, `{`+mac+`}`), "PublicIP is zero or missing"},
		{v4(`null`, `{`+mac+`}`), "PublicIP is zero or missing"},
		{v4(`17`, `{`+mac+`}`), "PublicIP is a number: want a string"},
		{v4(`["192.0.2.1"]`, `{`+mac+`}`), "PublicIP is an array: want a string"},
		{v4(`"192.0.2.1/24"`, `{`+mac+`}`), `PublicIP "192.0.2.1/24" is not an IPv4 address`},
		{v4(`"192.0.2"`, `{`+mac+`}`), "is not an IPv4 address"},
		{v4(`"::ffff:192.0.2.1"`, `{`+mac+`}`), `PublicIP "::ffff:192.0.2.1" is not an IPv4 address`},
		{v4(`"2001:db8::1"`, `{`+mac+`}`), "is not an IPv4 address"},
		{v4(`"`+strings.Repeat("1", 60_000)+`"`, `{`+mac+`}`), "is not an IPv4 address"},
		{v4(`"127.0.0.1"`, `{`+mac+`}`), "PublicIP 127.0.0.1 cannot be the address of a node"},
		{v4(`"224.0.0.1"`, `{`+mac+`}`), "PublicIP 224.0.0.1 cannot be"},
		{v4(`"255.255.255.255"`, `{`+mac+`}`), "PublicIP 255.255.255.255 cannot be"},
		{v4(good, `null`), "BackendData is missing"},
		{v4(good, `[]`), "BackendData is an array: want an object"},
		{v4(good, `"`+strings.Repeat("x", 60_000)+`"`), "BackendData is a string: want an object"},
		{v4(good, `{}`), `BackendData.VtepMAC: MAC "" is not an Ethernet address`},
		{v4(good, `{"VtepMAC":7}`), "BackendData.VtepMAC is a number: want a string"},
		{v4(good, `{"VtepMAC":"00:00:00:00:00:00"}`), "BackendData.VtepMAC: MAC 00:00:00:00:00:00 is zero"},
		{v4(good, `{"VtepMAC":"01:00:5e:00:00:01"}`), "is a multicast address"},
		{v4(good, `{"VtepMAC":"c6:d2:32:6f:8f"}`), "is not an Ethernet address"},
		{v4(good, `{`+mac+`,"VNI":0}`), "BackendData.VNI 0 is not between 1 and 16777215"},
		{v4(good, `{`+mac+`,"VNI":-5}`), "BackendData.VNI -5 is not between"},
		{v4(good, `{`+mac+`,"VNI":16777216}`), "BackendData.VNI 16777216 is not between"},
		{v4(good, `{`+mac+`,"VNI":4294967297}`), "BackendData.VNI 4294967297 is not between"},
		{v4(good, `{`+mac+`,"VNI":1e400}`), "BackendData.VNI is a number 1e400: want a whole number"},
		{v4(good, `{`+mac+`,"VNI":"1"}`), "BackendData.VNI is a string: want a whole number"},
		{v4(good, `{`+mac+`,"Node":"a\nb"}`), `BackendData: node name "a\nb" is not at most 255 printable bytes`},
		{v4(good, `{`+mac+`,"NodeID":"\u001b[2J"}`), "BackendData: node id"},
		{v4(good, `{`+mac+`,"Version":"\ud800"}`), "BackendData: version"},
		{v4(good, `{`+mac+`,"Node":"`+strings.Repeat("n", 256)+`"}`), "BackendData: node name"},
		{`{"PublicIP":"192.0.2.1","BackendType":"a\tb"}`, `BackendType "a\tb" is not at most 255 printable bytes`},
		{`{"PublicIP":"192.0.2.1","BackendType":{}}`, "BackendType is an object: want a string"},
		// The lease has no IPv6 pod subnet, but its IPv6 address is parsed too.
		{`{"PublicIP":"192.0.2.1","PublicIPv6":"nonsense"}`, `PublicIPv6 "nonsense" is not an IPv6 address`},
		{`{"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendV6Data":7}`, ""},
	} {
		t.Run(c.value[:min(len(c.value), 120)], func(t *testing.T) {
			l, err := ParseLease("10.5.34.0-24", []byte(c.value))
			wantError(t, err, c.want)
			if err != nil && l != (Lease{}) {
				t.Errorf("an error comes with %+v", l)
			}
		})
	}
	for _, c := range []struct{ ip, data, want string }{
		{`"2001:db8::1"`, `{` + mac + `}`, ""},
		{`null`, `{` + mac + `}`, "PublicIPv6 is zero or missing"},
		{`"::"`, `{` + mac + `}`, "PublicIPv6 is zero or missing"},
		{`"0:0::0"`, `{` + mac + `}`, "PublicIPv6 :: cannot be the address of a node"},
		{`"192.0.2.1"`, `{` + mac + `}`, `PublicIPv6 "192.0.2.1" is not an IPv6 address`},
		{`"::ffff:192.0.2.1"`, `{` + mac + `}`, "is not an IPv6 address"},
		{`"2001:db8::1%eth0"`, `{` + mac + `}`, "is not an IPv6 address"},
		{`"fe80::1"`, `{` + mac + `}`, "PublicIPv6 fe80::1 cannot be the address of a node"},
		{`"::1"`, `{` + mac + `}`, "PublicIPv6 ::1 cannot be"},
		{`"ff02::1"`, `{` + mac + `}`, "PublicIPv6 ff02::1 cannot be"},
		{`"2001:db8::1"`, `null`, "BackendV6Data is missing"},
		{`"2001:db8::1"`, `{"VtepMAC":"x"}`, "BackendV6Data.VtepMAC: "},
	} {
		value := `{"PublicIP":"192.0.2.1","PublicIPv6":` + c.ip + `,"BackendType":"vxlan","BackendData":{` + mac + `},"BackendV6Data":` + c.data + `}`
		t.Run(value, func(t *testing.T) {
			_, err := ParseLease("10.5.34.0-24&fd00:5:22::-64", []byte(value))
			wantError(t, err, c.want)
		})
	}
	_, err := ParseLease("config", []byte("{}"))
	wantError(t, err, `key "config" is not a lease`)
}

func TestNodeIsReadFromEitherHalf(t *testing.T) {
	value := `{"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":{"VtepMAC":"c6:d2:32:6f:8f:44"%s},"BackendV6Data":{"VtepMAC":"c6:d2:32:6f:8f:44"%s}}`
	for _, c := range []struct {
		v4, v6 string
		want   Node
	}{
		{`,"Node":"a"`, `,"Node":"b"`, Node{Name: "a"}},
		{``, `,"Node":"b","NodeID":"i"`, Node{Name: "b", ID: "i"}},
		{``, ``, Node{}},
	} {
		l, err := ParseLease("10.5.34.0-24&fd00:5:22::-64", fmt.Appendf(nil, value, c.v4, c.v6))
		if err != nil || l.Node != c.want {
			t.Errorf("%+v, %v; want %+v", l.Node, err, c.want)
		}
	}
}

func FuzzParseLease(f *testing.F) {
	for _, p := range []Pair{pair("10.5.34.0/24"), pair("10.5.34.0/24", "fd00:5:22::/64"), pair("fd00:5:22::/64")} {
		f.Add(p.Key(), record(7, p).Value())
	}
	f.Add("10.5.52.0-24", []byte(`{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"host-gw"}`))
	f.Add("0.0.0.0-0&fd00:5:22::-64", []byte(`{"publicip":"192.168.64.3","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendData":[],"BackendV6Data":{"VtepMAC":"c6d2.326f.8f44","Node":"\u003c"}}`))
	f.Add("10.5.52.0-24", []byte(`{"PublicIP":"::ffff:192.168.64.3","BackendType":"\ud800"}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		l, err := ParseLease(key, value)
		if err != nil {
			if l != (Lease{}) || len(err.Error()) > 500 {
				t.Errorf("%+v, %.500s", l, err)
			}
			return
		}
		if l.Pair().Key() != key {
			t.Errorf("%q parses as %s", key, l.Pair())
		}
		back, err := ParseLease(key, l.Value())
		if err != nil || back != l {
			t.Errorf("%+v\nis read back as %+v, %v", l, back, err)
		}
		for _, f := range Families {
			e := l.Endpoint(f)
			if e.Subnet.IsValid() && !e.PublicIP.IsValid() {
				t.Errorf("%+v has no %s address", l, f)
			}
			if e.Subnet.IsValid() && l.BackendType == BackendVXLAN && e.MAC.IsZero() {
				t.Errorf("%+v has no %s MAC", l, f)
			}
			if e.PublicIP.IsValid() && FamilyOf(e.PublicIP) != f || !e.Subnet.IsValid() && e != (Endpoint{PublicIP: e.PublicIP}) {
				t.Errorf("%+v: the %s half is wrong", l, f)
			}
		}
		if l.PublicIP() == (netip.Addr{}) {
			t.Errorf("%+v has no public address", l)
		}
	})
}
