package faults

import (
	"slices"
	"testing"
)

// Another program changes what podlaned has programmed for its peers.
var entryFaults = disturbances([]disturbance{
	{"IPv4 route deleted", "route", "route PEER4/24", peer4, second, []string{"ip route del PEER4/24"}},
	{"IPv6 route deleted", "route", "route PEER6/64", peer6, second, []string{"ip route del PEER6/64"}},
	{"IPv4 route changed", "route", "route PEER4/24", peer4, second, []string{
		"ip route change PEER4/24 via THIRDHOST4 dev eth0 proto 112 metric METRIC4"}},
	{"IPv6 route changed", "route", "route PEER6/64", peer6, second, []string{
		"ip route change PEER6/64 via THIRDHOST6 dev eth0 proto 112 metric METRIC6"}},
	{"IPv4 routes flushed", "route", "route", peers4, second, []string{"ip route flush proto 112"}},
	{"IPv6 routes flushed", "route", "route", peers6, second, []string{"ip -6 route flush proto 112"}},
	{"IPv4 route left over", "route", "route 10.99.0.0/16", nothing, second, []string{
		"ip route add 10.99.0.0/16 via PEER4 dev podlane.1 onlink proto 112"}},
	{"IPv6 route left over", "route", "route fd00:99::/64", nothing, second, []string{
		"ip route add fd00:99::/64 via PEER6 dev podlane-v6.1 onlink proto 112"}},
	{"IPv4 FDB entry deleted", "fdb", "MAC4", peer4, second, []string{"bridge fdb del MAC4 dev podlane.1 dst PEERHOST4"}},
	{"IPv6 FDB entry deleted", "fdb", "MAC6", peer6, second, []string{"bridge fdb del MAC6 dev podlane-v6.1 dst PEERHOST6"}},
	{"IPv4 FDB entry changed", "fdb", "MAC4", peer4, second, []string{"bridge fdb replace MAC4 dev podlane.1 dst 198.18.1.77"}},
	{"IPv6 FDB entry changed", "fdb", "MAC6", peer6, second, []string{"bridge fdb replace MAC6 dev podlane-v6.1 dst fd98:18::177"}},
	{"FDB entry left over", "fdb", "02:00:00:00:00:99", nothing, second, []string{
		"bridge fdb append 02:00:00:00:00:99 dev podlane.1 dst 198.18.1.77"}},
	{"IPv4 neighbour deleted", "neighbour", "neigh PEER4", peer4, second, []string{"ip neigh del PEER4 dev podlane.1"}},
	{"IPv6 neighbour deleted", "neighbour", "neigh PEER6", peer6, second, []string{"ip neigh del PEER6 dev podlane-v6.1"}},
	{"IPv4 neighbour changed", "neighbour", "neigh PEER4", peer4, second, []string{
		"ip neigh replace PEER4 lladdr 02:00:00:00:00:99 nud permanent dev podlane.1"}},
	{"IPv6 neighbour changed", "neighbour", "neigh PEER6", peer6, second, []string{
		"ip neigh replace PEER6 lladdr 02:00:00:00:00:99 nud permanent dev podlane-v6.1"}},
	{"IPv4 neighbours flushed", "neighbour", "neigh", peers4, second, []string{"ip neigh flush dev podlane.1 nud permanent"}},
	{"IPv6 neighbours flushed", "neighbour", "neigh", peers6, second, []string{"ip -6 neigh flush dev podlane-v6.1 nud permanent"}},
	{"everything at once", "device", "device", peers, 2 * second, []string{
		"ip link del podlane.1", "nft flush ruleset", "ip route add PEER4/24 dev lo proto 112 metric 1",
		"ip -6 route flush proto 112", "ip -6 neigh flush dev podlane-v6.1 nud permanent"}},
})

// Another program changes podlaned's nftables table.
var tableFaults = disturbances([]disturbance{
	{"table deleted", "table", "table", nothing, second, []string{"nft delete table inet podlane"}},
	{"table flushed", "rule", "rule", nothing, second, []string{"nft flush table inet podlane"}},
	{"table dormant", "table", "table", nothing, second, []string{"nft add table inet podlane { flags dormant ; }"}},
	{"ruleset flushed", "table", "table", nothing, second, []string{"nft flush ruleset"}},
	{"rules of a chain deleted", "rule", "rule inet podlane vxlan_to_node", nothing, second, []string{"nft flush chain inet podlane vxlan_to_node"}},
	{"rule added", "rule", "rule inet podlane postrouting", nothing, second, []string{"nft add rule inet podlane postrouting ip saddr OWN4 accept"}},
	{"rule that drops everything added", "rule", "rule inet podlane forward", everything, second, []string{"nft insert rule inet podlane forward drop"}},
	{"chain that drops everything", "chain", "chain", everything, second, []string{"nft add chain inet podlane forward { policy drop ; }"}},
	{"chain added", "chain", "chain inet podlane more", nothing, second, []string{"nft add chain inet podlane more"}},
	{"IPv4 peer deleted from the set", "element", "element inet podlane peers4 PEERHOST4", peer4, second, []string{
		"nft delete element inet podlane peers4 { PEERHOST4 }"}},
	{"IPv6 peer deleted from the set", "element", "element inet podlane peers6 PEERHOST6", peer6, second, []string{
		"nft delete element inet podlane peers6 { PEERHOST6 }"}},
	{"set of IPv4 peers flushed", "element", "element inet podlane peers4", peers4, second, []string{"nft flush set inet podlane peers4"}},
	{"stranger added to the set", "element", "element inet podlane peers4 198.18.7.66", nothing, second, []string{
		"nft add element inet podlane peers4 { 198.18.7.66 }"}},
})

func TestDrift(t *testing.T) { runFaults(t, slices.Concat(entryFaults, tableFaults)) }
