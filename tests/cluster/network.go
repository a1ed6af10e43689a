package cluster

import (
	"strings"

	"github.com/podlane/podlane/lab"
)

// DualStack is a network configuration that gives every pod an address of each family.
const DualStack = `{"Network": "10.5.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:5::/48", "Backend": {"Type": "vxlan"}}`

// AroundUnderlay is a network configuration whose pod network contains the underlay, outside the pod subnets.
const AroundUnderlay = `{"Network": "198.0.0.0/8", "SubnetMin": "198.64.0.0", "SubnetMax": "198.99.0.0", "EnableIPv6": true,
	"IPv6Network": "fd00::/8", "IPv6SubnetMin": "fd00:5::", "IPv6SubnetMax": "fd00:7::", "Backend": {"Type": "vxlan"}}`

// ForeignLease is a lease of another node. Tests write it over a node's own lease.
const ForeignLease = `{"PublicIP":"198.18.7.1","PublicIPv6":"fd98:18::7:1","BackendType":"vxlan",` +
	`"BackendData":{"VNI":1,"VtepMAC":"ba:11:22:33:44:55","NodeID":"thief","Node":"thief"},` +
	`"BackendV6Data":{"VNI":1,"VtepMAC":"ba:11:22:33:44:56","NodeID":"thief","Node":"thief"}}`

// LeaseKey returns the key of a lease in etcd, by its pod subnets.
func LeaseKey(subnets string) string {
	return lab.DefaultPrefix + "/subnets/" + strings.ReplaceAll(subnets, "/", "-")
}
