package etcd

import "testing"

// Keys that no node can use, each of which covers all pod subnets, do not hinder a node.
func TestKeysThatNoNodeCanUseAreIgnored(t *testing.T) {
	t.Parallel()
	etcd := startEtcd(t)
	etcd.put("config", ipv4Config)
	for key, value := range map[string]string{
		"10.0.0.0-8":            "x",
		"10.5.0.0-16":           `{"PublicIP":"192.168.9.9","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:99"}}`,
		"10.4.0.0-14&fd00::-8":  `{"PublicIP":"192.168.9.8","PublicIPv6":"2001:db8::98","BackendType":"vxlan"}`,
		"0.0.0.0-0&fd00:5::-48": "",
		"10.5.0.0-20":           "not a lease",
	} {
		etcd.put(subnets+key, value)
	}
	n := run(t, etcd.open(t), quick(1))
	s := n.held(t)
	etcd.delete(subnets + s.Own.Pair().Key()) // the other keys are older than the own one then
	n.wait(t, "the lease again", func(now State) bool {
		r, _ := now.Set.Find(s.Own.Pair())
		return held(now) && r.Lease == s.Own && r.Created > s.Set.Revision
	})
}
