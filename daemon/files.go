package main

import (
	"bytes"
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
		Local: l.saved.Local, Bridges: l.pods.Known(),
	}
	if !l.verified.IsZero() { // a reload that asks for a useless underlay is rolled back to the one before
		s.Local = knownOf(l.self, l.network, l.iface).local
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
