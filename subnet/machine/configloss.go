package machine

import (
	"fmt"
	"slices"
	"time"

	"github.com/podlane/podlane/subnet"
)

// The configuration alone can be deleted by mistake. Then no new node can join. A node that knows its newest revision
// restores it, if no other node did before:
//   - A node that followed the watch up to the deletion knows that revision.
//   - A node that was away may have missed a change, so it waits for the others.
//   - A node that has only the saved configuration restores it only after a loss of data.
//
// Else a node with Options.Config writes that one: the store may be new. It first waits for the nodes that know a better one.

// configSource is how this node knows a configuration that the store no longer has. A start begins with the zero value.
type configSource int

const (
	fromSaved configSource = iota // from before this start
	fromList                      // from the store, but a list or another read was the first to show the deletion
	fromWatch                     // from the store, with every change up to the deletion
)

// How long a node waits for nodes that know the configuration better. Each adds a random part of restoreSpread, so that not
// all nodes write at the same time.
const (
	restoreAfterList  = time.Second
	restoreAfterSaved = 5 * time.Second
	restoreSpread     = 500 * time.Millisecond
	restoreRetry      = 5 * time.Second                   // after a refusal, and until Options.Config is called again
	configWait        = restoreAfterSaved + 5*time.Second // of a node that knows no configuration
)

// configRestore is the state of restoring a missing configuration to the store.
type configRestore struct {
	source configSource
	at     time.Time // when to write it; zero: there is nothing to write
	err    error     // why the store refused it
}

// readConfig applies the mirror's configuration if it is valid. Otherwise the last valid one stays in use. A deleted
// configuration also counts: it is newer than the one in use.
func (m *Machine) readConfig() {
	m.configErr = nil
	defer m.updateNetworks()
	newest := m.mirror.newestConfig()
	if newest.revision != 0 {
		n, warnings, err := subnet.ParseNetwork(newest.raw)
		if err != nil {
			m.configErr = fmt.Errorf("%w: %w", ErrConfig, err)
		} else {
			m.config, m.network, m.warnings = slices.Clone(newest.raw), n, warnings
		}
		m.configRestore.source = fromWatch
	}
	if m.mirror.config.revision == 0 {
		m.configErr = ErrNoConfig
		return
	}
	m.lost, m.configRestore = false, configRestore{source: fromWatch}
}

// updateNetworks gives the mirror the network configurations that decide which keys are rivals of our lease.
func (m *Machine) updateNetworks() {
	if own := m.own.lease; own == (subnet.Lease{}) || m.network.Fits(own.Pair()) {
		m.chosenBy = m.network
	}
	m.mirror.setNetworks(m.network, m.chosenBy)
}

// configToWrite returns the missing configuration if it must be written now. If later, it records when.
func (m *Machine) configToWrite(now time.Time) []byte {
	missing := m.missingConfig()
	if missing == nil {
		m.configRestore.at = time.Time{}
		return nil
	}
	if m.configRestore.at.IsZero() {
		m.configRestore.at = m.restoreAt(now)
	}
	if now.Before(m.configRestore.at) {
		return nil
	}
	return missing
}

// restoreAt returns when to write the missing configuration, unless another node does so before.
func (m *Machine) restoreAt(now time.Time) time.Time {
	if m.config == nil { // it is the one of Options.Config
		return later(now, m.configDeadline(now))
	}
	delay := map[configSource]time.Duration{fromSaved: restoreAfterSaved, fromList: restoreAfterList}[m.configRestore.source]
	return now.Add(delay + m.opts.Random(restoreSpread))
}

// missingConfig returns the configuration that the store should have and does not have, or nil.
func (m *Machine) missingConfig() []byte {
	switch {
	case m.mirror.config.revision != 0:
		return nil
	case m.restorable():
		return m.config
	case m.opts.Config != nil:
		return m.opts.Config()
	}
	return nil
}

// restorable reports whether the configuration in use must be restored if the store has none.
func (m *Machine) restorable() bool {
	return m.config != nil && (m.configRestore.source != fromSaved || m.lost)
}

// awaitConfig returns the step of a node that knows no usable configuration.
func (m *Machine) awaitConfig(now time.Time) Step {
	st := Step{Verb: Wait, Err: m.configErr, At: m.configDeadline(now)}
	if m.configRestore.err != nil {
		st.Err = m.configRestore.err
	}
	if m.opts.Config != nil {
		st.At = earlier(st.At, now.Add(restoreRetry))
	}
	return st
}

// ConfigRefused records why the store refused the restored configuration. Next tries again after 5 s. Nothing else is
// affected.
func (m *Machine) ConfigRefused(err error, now time.Time) {
	m.configRestore.at = now.Add(restoreRetry)
	m.configRestore.err = fmt.Errorf("the network configuration is missing from etcd and this node cannot %s it: %w", m.restoreWord("restore", "write"), err)
}

// AwaitsConfig reports whether the node still waits for another node to restore the configuration.
func (m *Machine) AwaitsConfig(now time.Time) bool { return !m.configDeadline(now).IsZero() }

// configDeadline returns until when a node that knows no configuration waits for the holders of leases to restore it. Zero:
// it does not wait.
func (m *Machine) configDeadline(now time.Time) time.Time {
	deadline := m.listed.Add(configWait)
	if m.config != nil || m.mirror == nil || m.mirror.config.revision != 0 || !now.Before(deadline) {
		return time.Time{}
	}
	for _, e := range m.mirror.entries {
		if e.record.Node != (subnet.Node{}) {
			return deadline
		}
	}
	return time.Time{}
}

// configProblems returns what an operator should know about the configuration.
func (m *Machine) configProblems() (ps []string) {
	switch {
	case m.configRestore.err != nil: // it is reported as the store's error
	case !m.configRestore.at.IsZero():
		ps = append(ps, "the network configuration is missing from etcd: "+m.restoreWord("restoring it", "writing the one of network-file"))
	case m.configErr != nil && m.config != nil:
		ps = append(ps, fmt.Sprintf("%v; the last valid one stays in use", m.configErr))
	}
	if l := m.own.lease; m.own.established && !m.network.Fits(l.Pair()) {
		ps = append(ps, fmt.Sprintf("pod subnet %s is not in the changed network configuration: the node keeps it until podlaned is restarted or reloaded", l.Pair()))
	}
	return ps
}

// restoreWord returns the first word if the missing configuration is one that etcd had, else the second.
func (m *Machine) restoreWord(restored, written string) string {
	if m.restorable() {
		return restored
	}
	return written
}
