package vxlan

import (
	"strings"

	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// peerStatus counts the peers whose entries are all installed, in each of their families. For the others it returns
// the entry that the kernel refused, with its error. It ignores a family whose run failed.
func (b *Backend) peerStatus(peers []subnet.Lease) (count int, degraded []subnet.Skip) {
	var refused [len(subnet.Families)]map[string]kernel.Failure
	for _, f := range subnet.Families {
		refused[f] = failuresByObject(b.families[f].failed)
	}
	for _, p := range peers {
		installed, missing := false, false
		var reasons []string
		for _, f := range subnet.Families {
			e := p.Endpoint(f)
			if !b.network.Range(f).On() || !e.Subnet.IsValid() || unsupported(p, e, b.network.VXLAN.VNI) != "" {
				continue
			}
			last := &b.families[f]
			ok := last.verified && (len(last.failed) == 0 || last.before.hasPeer(f, b.network, b.underlay, e))
			installed, missing = installed || ok, missing || !ok
			if last.verified && !ok {
				reasons = append(reasons, b.failureReason(f, e, refused[f]))
			}
		}
		if installed && !missing {
			count++
		}
		if len(reasons) > 0 {
			degraded = append(degraded, subnet.Skip{Key: p.Pair().Key(), Reason: strings.Join(reasons, "; ")})
		}
	}
	return count, degraded
}

// failuresByObject returns the additions and changes that failed, by their object.
func failuresByObject(failed []kernel.Failure) map[string]kernel.Failure {
	m := make(map[string]kernel.Failure, len(failed))
	for _, f := range failed {
		if f.Op.Verb != "delete" {
			m[f.Op.Object] = f
		}
	}
	return m
}

// failureReason returns the first of a peer's entries that the kernel refused, with its error.
func (b *Backend) failureReason(f subnet.Family, e subnet.Endpoint, refused map[string]kernel.Failure) string {
	key, r := peerRoute(f, b.network, b.underlay, e)
	dev := DeviceName(f, b.network.VXLAN.VNI)
	objects := []string{neighbourText(r.via, e.MAC, dev), fdbText(e.MAC, e.PublicIP, dev), routeText(key, r, dev)}
	if r.link != ownDevice {
		objects = []string{routeText(key, r, b.underlay.Name)}
	}
	for _, object := range objects {
		if f, ok := refused[object]; ok {
			return f.Error()
		}
	}
	return "it is not installed"
}
