package main

import (
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/podlane/podlane/subnet/annotation"
)

// nodeCache holds the Nodes as they were last received. Several goroutines may use it.
type nodeCache struct {
	changed kicks // after each change

	mu        sync.Mutex
	set       nodeSet
	revisions revisions
}

func newNodeCache(keys annotation.Keys, name string, changed kicks) *nodeCache {
	return &nodeCache{changed: changed, set: newNodeSet(keys, name)}
}

// empty returns a set without Nodes, for a list to fill.
func (c *nodeCache) empty() nodeSet { return newNodeSet(c.set.keys, c.set.name) }

// replace records a complete list. It reports whether the list was used. A list older than the target is used only if it is a
// quorum read, and began after the target was seen. confirmed is the target at its begin; 0: it is no quorum read.
func (c *nodeCache) replace(set nodeSet, revision, confirmed int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision < c.revisions.target && confirmed < c.revisions.target {
		return false
	}
	c.set = set
	c.revisions.listed(revision)
	c.changed.kick()
	return true
}

// put records a Node that was added or changed.
func (c *nodeCache) put(n *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revisions.advanced(parseRevision(n.ResourceVersion))
	if c.set.put(n) {
		c.changed.kick()
	}
}

// remove records that a Node was deleted.
func (c *nodeCache) remove(n *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revisions.advanced(parseRevision(n.ResourceVersion))
	c.set.remove(n.Name)
	c.changed.kick()
}

// advance records that the set is complete up to a revision.
func (c *nodeCache) advance(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revisions.advanced(revision)
}

// raise records the highest revision that podlaned has seen. It reports whether the Nodes must be listed again.
func (c *nodeCache) raise(revision int64) (due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revisions.raise(revision)
	return c.revisions.due()
}

// state returns the revisions.
func (c *nodeCache) state() revisions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revisions
}

// snapshot returns copies of the Nodes and their revisions.
func (c *nodeCache) snapshot() (nodeSet, revisions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.clone(), c.revisions
}

// own returns the own Node.
func (c *nodeCache) own() ownNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set.own
}
