package subnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
)

// valueJSON is a lease's value, with flannel's keys.
type valueJSON struct {
	PublicIP      string          // flannel writes 0.0.0.0 if the node has none
	PublicIPv6    *string         // null if the node has none
	BackendType   string          `json:",omitempty"`
	BackendData   json.RawMessage `json:",omitempty"`
	BackendV6Data json.RawMessage `json:",omitempty"`
}

// dataJSON is the value of BackendData and BackendV6Data. podlane's own keys are here, because flannel ignores them.
type dataJSON struct {
	VNI     *int `json:",omitempty"`
	VtepMAC string
	NodeID  string `json:",omitempty"`
	Node    string `json:",omitempty"`
	Version string `json:",omitempty"`
}

// Value returns the lease's value in etcd.
func (l Lease) Value() []byte {
	a := l.Announcement()
	v := valueJSON{PublicIP: a.PublicIP, BackendType: a.BackendType, BackendData: a.BackendData, BackendV6Data: a.BackendV6Data}
	if a.PublicIP == "" {
		v.PublicIP = unspecified[IPv4]
	}
	if a.PublicIPv6 != "" {
		v.PublicIPv6 = &a.PublicIPv6
	}
	return encode(v)
}

// data returns the backend's data of one family. It is absent, not null, if the lease has no such half. flannel would
// read a null, under the 0.0.0.0-0 of an IPv6-only key, as the data of a peer that owns 0.0.0.0/0.
func (l Lease) data(f Family) json.RawMessage {
	e := l.Endpoint(f)
	if !e.Subnet.IsValid() {
		return nil
	}
	d := dataJSON{VtepMAC: e.MAC.String(), NodeID: l.Node.ID, Node: l.Node.Name, Version: l.Node.Version}
	if vni := int(e.VNI); vni != 0 {
		d.VNI = &vni
	}
	return encode(d)
}

// MaxValue is the maximum size of a lease's value and of the network configuration, in bytes. Real ones have about 300.
const MaxValue = 64 << 10

// ParseLease parses a lease from the last part of its key and its value. It checks everything, because other nodes write
// these.
func ParseLease(key string, value []byte) (Lease, error) {
	pair, err := ParseKey(key)
	if err != nil {
		return Lease{}, err
	}
	if len(value) > MaxValue {
		return Lease{}, fmt.Errorf("value has more than %d bytes", MaxValue)
	}
	var v valueJSON
	if err := decode("", value, &v); err != nil {
		return Lease{}, fmt.Errorf("value is not a lease: %w", err)
	}
	a := Announcement{PublicIP: v.PublicIP, BackendType: v.BackendType, BackendData: v.BackendData, BackendV6Data: v.BackendV6Data}
	if v.PublicIPv6 != nil {
		a.PublicIPv6 = *v.PublicIPv6
	}
	return a.Lease(pair)
}

// Announcement is what a node writes about itself, beside its pod subnets. It is not checked.
type Announcement struct {
	PublicIP, PublicIPv6       string // empty, 0.0.0.0 or ::: the node has none
	BackendType                string
	BackendData, BackendV6Data []byte // JSON of the backend's data; empty or null: the node has no such half
}

// Announcement returns what a node writes about a lease.
func (l Lease) Announcement() Announcement {
	a := Announcement{BackendType: l.BackendType, BackendData: l.data(IPv4), BackendV6Data: l.data(IPv6)}
	if ip := l.IPv4.PublicIP; ip.IsValid() {
		a.PublicIP = ip.String()
	}
	if ip := l.IPv6.PublicIP; ip.IsValid() {
		a.PublicIPv6 = ip.String()
	}
	return a
}

// Lease checks the announcement and returns the lease. It parses the backend's data only for BackendVXLAN.
func (a Announcement) Lease(pair Pair) (l Lease, err error) {
	if err := checkText("BackendType", a.BackendType); err != nil {
		return Lease{}, err
	}
	l.BackendType = a.BackendType
	l.IPv4.Subnet, l.IPv6.Subnet = pair.IPv4, pair.IPv6
	if l.IPv4.PublicIP, err = publicIP(IPv4, a.PublicIP, pair.IPv4.IsValid()); err != nil {
		return Lease{}, err
	}
	if l.IPv6.PublicIP, err = publicIP(IPv6, a.PublicIPv6, pair.IPv6.IsValid()); err != nil {
		return Lease{}, err
	}
	if a.BackendType != BackendVXLAN {
		return l, nil
	}
	if err := l.readData(&l.IPv4, "BackendData", a.BackendData); err != nil {
		return Lease{}, err
	}
	if err := l.readData(&l.IPv6, "BackendV6Data", a.BackendV6Data); err != nil {
		return Lease{}, err
	}
	return l, nil
}

var publicIPKey = map[Family]string{IPv4: "PublicIP", IPv6: "PublicIPv6"}

// publicIP parses a node's address on the underlay. The address may be missing, unless needed: then the lease has a pod
// subnet of the family.
func publicIP(f Family, text string, needed bool) (netip.Addr, error) {
	if text == "" || text == unspecified[f] {
		if needed {
			return netip.Addr{}, fmt.Errorf("%s is zero or missing", publicIPKey[f])
		}
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || FamilyOf(a) != f || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%s %.60q is not an %s address", publicIPKey[f], text, f)
	}
	if !CanBeNode(a) {
		return netip.Addr{}, fmt.Errorf("%s %s cannot be the address of a node", publicIPKey[f], a)
	}
	return a, nil
}

// CanBeNode reports whether a node can have the address on an underlay, so that tunnels can end at it. IPv6 link-local
// addresses would also need an interface (RFC 4007 section 6); IPv4's do not.
func CanBeNode(a netip.Addr) bool {
	reserved := slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) })
	return !reserved && !a.Is4In6() && (a.IsGlobalUnicast() || a.Is4() && a.IsLinkLocalUnicast())
}

// reserved holds prefixes that netip counts as global unicast, but whose addresses no host can have.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),   // RFC 1122 section 3.2.1.3
	netip.MustParsePrefix("240.0.0.0/4"), // RFC 1112 section 4
	netip.MustParsePrefix("::/96"),       // IPv4-compatible, RFC 4291 section 2.5.5.1
}

// readData parses the backend's data of one half, if the lease has this half.
func (l *Lease) readData(e *Endpoint, key string, raw []byte) (err error) {
	if !e.Subnet.IsValid() {
		return nil
	}
	var d dataJSON
	if len(raw) == 0 || string(raw) == "null" {
		return fmt.Errorf("%s is missing", key)
	}
	if !json.Valid(raw) {
		return fmt.Errorf("%s is not JSON: %.60q", key, raw)
	}
	if err := decode(key, raw, &d); err != nil {
		return err
	}
	if d.VNI != nil {
		if *d.VNI < 1 || *d.VNI > MaxVNI {
			return fmt.Errorf("%s.VNI %d is not between 1 and %d", key, *d.VNI, MaxVNI)
		}
		e.VNI = uint32(*d.VNI)
	}
	if e.MAC, err = ParseMAC(d.VtepMAC); err != nil {
		return fmt.Errorf("%s.VtepMAC: %w", key, err)
	}
	node := Node{ID: d.NodeID, Name: d.Node, Version: d.Version}
	if err := node.Check(); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if l.Node == (Node{}) {
		l.Node = node
	}
	return nil
}
