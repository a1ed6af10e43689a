package main

import (
	"bytes"
	"os"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/subnet"
)

// otherCNI is the kind of problem for another CNI configuration that comes before ours.
const otherCNI = "other CNI"

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
	l.troubles.check(otherCNI, firstConf(l.config.cniConf))
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

// saveState writes the state of this run if that is due. The last write of a run waits for nothing.
func (l *loop) saveState(last bool) {
	began := time.Now()
	if !l.stateFile.due(began, last) {
		return
	}
	s := savedState{
		Saved: l.state.Save(), Prefix: l.config.etcdPrefix, Until: newExpiry(l.state.Expiry, time.Now()), Direct: l.network.VXLAN.DirectRouting,
		Local: l.stateFile.loaded.Local, Bridges: l.pods.bridges.Known(),
	}
	if !l.verified.IsZero() { // before that, a reload with an unusable underlay can still be rolled back
		s.Local = l.underlay.known(l.network).local
	}
	ok := l.troubles.check("saved state", s.save(l.config.stateDir))
	l.stateFile.written(began, time.Now(), ok)
}

// retryFiles writes the files that are due, without a pass over the kernel. These are the changed state, and files that
// could not be written before or that come after another CNI configuration.
func (l *loop) retryFiles() {
	if l.unannounced() {
		l.announced = l.announce()
		l.announceAt = time.Now().Add(minRetry)
	}
	l.saveState(false)
}

// unannounced reports whether the node file, or a file that depends on it, is due and not yet in use.
func (l *loop) unannounced() bool {
	return !l.verified.IsZero() && (!l.announced || l.troubles.get(otherCNI) != "")
}

// files returns a channel that delivers when retryFiles has a file to write; nil: it has none.
func (l *loop) files() <-chan time.Time {
	in := l.stateFile.dueIn(time.Now())
	if l.unannounced() {
		in = max(time.Until(l.announceAt), minPass)
	}
	if in == 0 {
		return nil
	}
	return time.After(in)
}
