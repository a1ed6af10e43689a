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

// nodeFiles holds the state of the node file and of the CNI configuration list.
type nodeFiles struct {
	written     bool      // all of them
	retryAt     time.Time // when to try again to write them
	gateMissing string    // why the CNI configuration list does not name podlane-gate; empty: it does
}

// writeNodeFiles writes the files for the CNI plugin and the container runtime. It reports whether it could.
func (l *loop) writeNodeFiles() bool {
	l.files.written = l.writeNodeFile() && l.writeConflist()
	return l.files.written
}

func (l *loop) writeNodeFile() bool {
	file := subnet.NodeFile{
		Network:  subnet.Pair{IPv4: l.network.IPv4.Prefix, IPv6: l.network.IPv6.Prefix},
		Subnet:   l.state.Own.Pair(),
		MTU:      l.backend.MTU(),
		IPMasq:   l.config.ipMasq,
		NotReady: l.notReady(time.Now()),
	}
	err := l.write(filepath.Join(l.config.runDir, nodeFile), file.Marshal())
	return l.problems.Check("node file", confined(err))
}

// writeConflist writes the CNI configuration list, if podlaned has to.
func (l *loop) writeConflist() bool {
	if l.config.cniConf == "" {
		return true
	}
	l.files.gateMissing = gateMissing(l.config.cniBin)
	list, err := conflist(l.config.runDir, l.files.gateMissing == "")
	if err == nil {
		err = l.write(l.config.cniConf, list)
	}
	if !l.problems.Check("cni-conf", confined(err)) {
		return false
	}
	l.findOtherCNI()
	return true
}

// findOtherCNI reports another CNI's configuration list that comes before ours.
func (l *loop) findOtherCNI() {
	if l.config.cniConf != "" && l.kernel.everVerified() {
		l.problems.Check(otherCNI, checkCNIOrder(l.config.cniConf))
	}
}

// write writes a file for other programs unless its content is the same.
func (l *loop) write(path string, data []byte) error {
	if same(path, data) {
		return nil
	}
	err := subnet.WriteFile(path, data, 0o644)
	if err == nil {
		l.log.Infof("wrote %s", path)
	}
	return err
}

// same reports whether a file has exactly this content.
func same(path string, data []byte) bool {
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, data)
}

// saveState writes the state of this run if that is due. last: the run ends, and a changed state is always due.
func (l *loop) saveState(last bool) {
	began := time.Now()
	if !l.stateFile.due(began, last) {
		return
	}
	s := savedState{
		Saved: l.state.Save(), Prefix: l.config.storeIdentity(), Until: newExpiry(l.state.Expiry, time.Now()), Direct: l.network.VXLAN.DirectRouting,
		Local: l.stateFile.loaded.Local, Bridges: l.pods.bridges.Known(),
	}
	if l.kernel.everVerified() { // before that, a reload with an unusable underlay can still be rolled back
		s.Local = l.underlay.known(l.network).local
	}
	ok := l.problems.Check("saved state", s.save(l.config.stateDir))
	l.stateFile.written(began, time.Now(), ok)
}

// retryFiles writes the files that are due, without a reconciliation:
//   - the changed state,
//   - files that could not be written before,
//   - the CNI configuration list while another one comes first.
func (l *loop) retryFiles() {
	if l.nodeFilesDue() {
		l.writeNodeFiles()
		l.files.retryAt = time.Now().Add(minRetry)
	}
	l.saveState(false)
}

// nodeFilesDue reports whether a file for other programs is due and not yet in use.
func (l *loop) nodeFilesDue() bool {
	return l.kernel.everVerified() && (!l.files.written || l.problems.Get(otherCNI) != "")
}

// fileTimer returns a channel that delivers when retryFiles has work. It is nil if no file is due.
func (l *loop) fileTimer() <-chan time.Time {
	now := time.Now()
	in := l.stateFile.dueIn(now)
	if l.nodeFilesDue() {
		in = max(l.files.retryAt.Sub(now), minInterval)
	}
	if in == 0 {
		return nil
	}
	return time.After(in)
}
