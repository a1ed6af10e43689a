package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/subnet"
)

// announce tells the CNI plugin and the container runtime, after a verified pass, and tells whether it could.
func (l *loop) announce() bool {
	file := subnet.NodeFile{
		Network:  subnet.Pair{IPv4: l.network.IPv4.Prefix, IPv6: l.network.IPv6.Prefix},
		Subnet:   l.state.Own.Pair(),
		MTU:      l.backend.MTU(),
		IPMasq:   l.config.ipMasq,
		NotReady: l.notReady(time.Now()),
	}
	err := l.write(filepath.Join(l.config.runDir, nodeFile), file.Marshal())
	if good := l.troubles.check("node file", confined(err)); !good || l.config.cniConf == "" {
		return good
	}
	l.gateMissing = gateMissing(l.config.cniBin)
	list, err := conflist(l.config.runDir, l.gateMissing == "")
	if err == nil {
		err = l.write(l.config.cniConf, list)
	}
	if !l.troubles.check("cni-conf", confined(err)) {
		return false
	}
	l.troubles.check("other CNI", firstConf(l.config.cniConf))
	return true
}

// notReady returns why no pod may be attached now, for the node file, or nothing. It is what /readyz/attach answers, as far
// as podlaned can write it down. The text does not change while the reason lasts.
func (l *loop) notReady(now time.Time) string {
	trouble := l.kernelTrouble()
	switch {
	case l.state.Conflict != "":
		return l.state.Conflict
	case !l.state.Expiry.IsZero() && !now.Before(l.state.Expiry):
		return fmt.Sprintf("the lease of %s ran out at %s: another node may take the pod subnet; see why podlaned cannot renew it",
			l.state.Own.Pair(), l.state.Expiry.UTC().Format(time.DateTime+" UTC"))
	case trouble != "":
		return "this node's part of the overlay is incomplete: " + trouble
	}
	return ""
}

// kernelTrouble returns why the last pass over the kernel failed, or nothing.
func (l *loop) kernelTrouble() string {
	return cmp.Or(l.troubles.get("overlay"), l.troubles.get("forwarding"), l.troubles.get("firewall"))
}

// expiresIn returns when the lease runs out, which is a reason to write the node file; 0: never, or it has already.
func (l *loop) expiresIn() time.Duration {
	if l.state.Expiry.IsZero() || !time.Now().Before(l.state.Expiry) {
		return 0
	}
	return max(time.Until(l.state.Expiry), minPass)
}

// write writes a file for others where it is not already so.
func (l *loop) write(path string, data []byte) error {
	if same(path, data) {
		return nil
	}
	err := subnet.WriteFile(path, data, 0o644)
	if err == nil {
		l.log.Infof("%s is written", path)
	}
	return err
}

// same tells whether a file holds exactly this.
func same(path string, data []byte) bool {
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, data)
}

// saveState writes the saved state where it has changed: now, or not too often.
func (l *loop) saveState(now bool) {
	if !l.unsaved || !now && time.Now().Before(l.saveAt) {
		return
	}
	began := time.Now()
	s := savedState{
		Saved: l.state.Save(), Prefix: l.config.etcdPrefix, Until: newExpiry(l.state.Expiry, time.Now()), Direct: l.network.VXLAN.DirectRouting,
	}
	l.unsaved = !l.troubles.check("saved state", s.save(l.config.stateDir))
	l.saveAt = time.Now().Add(max(minSave, 20*time.Since(began)))
	if l.unsaved {
		l.saveAt = time.Now().Add(maxRetry)
	}
}

// saveIn is in how long the saved state is to be written, so that a crash does not find it stale; 0: it is written.
func (l *loop) saveIn() time.Duration {
	if !l.unsaved {
		return 0
	}
	return max(time.Until(l.saveAt), minPass)
}
