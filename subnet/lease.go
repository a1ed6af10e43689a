package subnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// BackendVXLAN is the BackendType of leases that podlane programs.
const BackendVXLAN = "vxlan"

// Lease says that a node owns its pod subnets and where packets for them go. Leases can be compared with ==.
type Lease struct {
	IPv4, IPv6  Endpoint // the zero Endpoint where the node has no pod subnet of the family
	BackendType string   // as flannel writes it; peers with another than BackendVXLAN are shown, not programmed
	Node        Node     // the zero Node for a lease that flannel wrote
}

// Endpoint is one family's part of a lease. With BackendType vxlan all fields but the VNI are always set.
type Endpoint struct {
	Subnet   netip.Prefix // the node's pod subnet
	PublicIP netip.Addr   // of the node on the underlay, of the same family as the subnet
	VNI      uint32       // 0: the lease does not say, as those of flannel before 0.15 do not
	MAC      MAC          // of the node's VXLAN device
}

// Node is who a node says it is.
type Node struct {
	ID      string // machine-id or --node-id
	Name    string // host name or --node-name
	Version string // of its podlaned
}

// Endpoint returns one family's part of the lease.
func (l Lease) Endpoint(f Family) Endpoint {
	if f == IPv4 {
		return l.IPv4
	}
	return l.IPv6
}

// Pair returns the lease's pod subnets.
func (l Lease) Pair() Pair { return Pair{l.IPv4.Subnet, l.IPv6.Subnet} }

// PublicIP is the address the node is known by: its IPv4 one where it has one.
func (l Lease) PublicIP() netip.Addr {
	if l.IPv4.PublicIP.IsValid() {
		return l.IPv4.PublicIP
	}
	return l.IPv6.PublicIP
}

// String names the lease for a log line or an error.
func (l Lease) String() string {
	if l.Node.Name == "" {
		return fmt.Sprintf("%s of %s", l.Pair(), l.PublicIP())
	}
	return fmt.Sprintf("%s of %s (%s)", l.Pair(), l.Node.Name, l.PublicIP())
}

// valueJSON is a lease's value, with flannel's keys.
type valueJSON struct {
	PublicIP      *netip.Addr     // flannel writes 0.0.0.0 where there is none
	PublicIPv6    *netip.Addr     // null where there is none
	BackendType   string          `json:",omitempty"`
	BackendData   json.RawMessage `json:",omitempty"`
	BackendV6Data json.RawMessage `json:",omitempty"`
}

// dataJSON is BackendData and BackendV6Data. What podlane adds stands here, where flannel ignores it.
type dataJSON struct {
	VNI     *int64 `json:",omitempty"`
	VtepMAC string
	NodeID  string `json:",omitempty"`
	Node    string `json:",omitempty"`
	Version string `json:",omitempty"`
}

// Value is the lease's value in etcd.
func (l Lease) Value() []byte {
	unspecified := netip.IPv4Unspecified()
	v := valueJSON{PublicIP: &unspecified, BackendType: l.BackendType}
	if l.IPv4.PublicIP.IsValid() {
		v.PublicIP = &l.IPv4.PublicIP
	}
	if l.IPv6.PublicIP.IsValid() {
		v.PublicIPv6 = &l.IPv6.PublicIP
	}
	v.BackendData, v.BackendV6Data = l.data(IPv4), l.data(IPv6)
	return encode(v)
}

// data is the backend's data of one family; null, as flannel writes it, where the lease has no such half.
func (l Lease) data(f Family) json.RawMessage {
	e := l.Endpoint(f)
	if !e.Subnet.IsValid() {
		return json.RawMessage("null")
	}
	var vni *int64
	if e.VNI != 0 {
		v := int64(e.VNI)
		vni = &v
	}
	return encode(dataJSON{VNI: vni, VtepMAC: e.MAC.String(), NodeID: l.Node.ID, Node: l.Node.Name, Version: l.Node.Version})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and addresses: it cannot fail
	}
	return b
}

// ParseLease reads a lease from the last part of its key and its value. What another node wrote is not trusted: an
// error says what is wrong with it. The backend's data is read for BackendVXLAN alone.
func ParseLease(key string, value []byte) (Lease, error) {
	pair, err := ParseKey(key)
	if err != nil {
		return Lease{}, err
	}
	if len(value) > maxValue {
		return Lease{}, fmt.Errorf("value has %d bytes, more than %d", len(value), maxValue)
	}
	var v valueJSON
	if err := json.Unmarshal(value, &v); err != nil {
		return Lease{}, fmt.Errorf("value is not a lease: %w", err)
	}
	l := Lease{BackendType: v.BackendType}
	l.IPv4.Subnet, l.IPv6.Subnet = pair.IPv4, pair.IPv6
	if l.IPv4.PublicIP, err = publicIP(IPv4, v.PublicIP, pair.IPv4.IsValid()); err != nil {
		return Lease{}, err
	}
	if l.IPv6.PublicIP, err = publicIP(IPv6, v.PublicIPv6, pair.IPv6.IsValid()); err != nil {
		return Lease{}, err
	}
	if v.BackendType != BackendVXLAN {
		return l, nil
	}
	if err := l.readData(IPv4, &l.IPv4, v.BackendData); err != nil {
		return Lease{}, fmt.Errorf("BackendData: %w", err)
	}
	if err := l.readData(IPv6, &l.IPv6, v.BackendV6Data); err != nil {
		return Lease{}, fmt.Errorf("BackendV6Data: %w", err)
	}
	return l, nil
}

// maxValue bounds the value of a lease in bytes; a real one has some 300.
const maxValue = 64 << 10

var publicIPKey = map[Family]string{IPv4: "PublicIP", IPv6: "PublicIPv6"}

// publicIP checks a node's address on the underlay. It is needed where the lease has a pod subnet of the family.
func publicIP(f Family, a *netip.Addr, needed bool) (netip.Addr, error) {
	if a == nil || !a.IsValid() || a.IsUnspecified() {
		if needed {
			return netip.Addr{}, fmt.Errorf("%s is zero or missing", publicIPKey[f])
		}
		return netip.Addr{}, nil
	}
	if FamilyOf(*a) != f || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%s %s is not an %s address", publicIPKey[f], a, f)
	}
	if a.IsLoopback() || a.IsMulticast() || *a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, fmt.Errorf("%s %s is not the address of a node", publicIPKey[f], a)
	}
	return *a, nil
}

func (l *Lease) readData(f Family, e *Endpoint, raw json.RawMessage) (err error) {
	if !e.Subnet.IsValid() {
		return nil
	}
	var d dataJSON
	if len(raw) == 0 {
		return errors.New("missing")
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	if d.VNI != nil {
		if *d.VNI < 1 || *d.VNI > MaxVNI {
			return fmt.Errorf("VNI %d is not between 1 and %d", *d.VNI, MaxVNI)
		}
		e.VNI = uint32(*d.VNI)
	}
	if e.MAC, err = ParseMAC(d.VtepMAC); err != nil {
		return err
	}
	if f == IPv4 || l.Node == (Node{}) {
		l.Node = Node{ID: d.NodeID, Name: d.Node, Version: d.Version}
	}
	return nil
}
