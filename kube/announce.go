package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podlane/podlane/channel"
	"github.com/podlane/podlane/subnet"
	"github.com/podlane/podlane/subnet/annotation"
)

// announcer writes what podlaned announces into the annotations of the own Node.
type announcer struct {
	nodes nodeClient
	keys  annotation.Keys
	name  string // of the own Node

	last map[string]*string // what was written last
	err  error              // of the last write
	backoff
}

// announce writes an announcement into the own Node's annotations. It writes only what differs, and returns the written keys. It
// repeats a failed write at most once a minute, and returns its error until then.
func (a *announcer) announce(ctx context.Context, own ownNode, announcement channel.Announcement, now time.Time) (written []string, err error) {
	changes, err := a.changes(own, announcement)
	switch {
	case err != nil || len(changes) == 0:
		a.failures, a.err = 0, err
		return nil, err
	case now.Before(a.retryAt) && (a.failures > 0 || maps.EqualFunc(changes, a.last, sameText)):
		return nil, a.err
	}
	a.last = changes
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = a.nodes.Patch(ctx, a.name, types.StrategicMergePatchType, annotationPatch(own.uid, changes), metav1.PatchOptions{}, "status")
	if err != nil {
		a.failed(now)
		a.err = describe("write the annotations of the Node "+a.name, err, now)
		return nil, a.err
	}
	a.succeeded(now)
	a.err = nil
	return slices.Sorted(maps.Keys(changes)), nil
}

func sameText(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// changes returns what to write: nothing if there is no Node. If podlaned's pods use other pod subnets than the Node's
// podCIDRs, the annotations have them: the other nodes still reach these pods.
func (a *announcer) changes(own ownNode, announcement channel.Announcement) (map[string]*string, error) {
	lease, err := subnet.ParseLease(announcement.Lease.Key, announcement.Lease.Value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("podlaned's announcement is not a lease: %w", err)
	case !own.exists:
		return nil, nil
	}
	pair, err := annotation.ParsePodCIDRs(own.podCIDRs)
	if err != nil {
		pair = subnet.Pair{} // podlaned reports that the podCIDR is invalid
	}
	return a.keys.Changes(own.annotations, lease, pair), nil
}

// annotationPatch returns the strategic merge patch that writes annotations. null removes one. The API server refuses it if the
// Node was created again since, because the uid differs.
func annotationPatch(uid types.UID, changes map[string]*string) []byte {
	metadata := map[string]any{"annotations": changes}
	if uid != "" {
		metadata["uid"] = uid
	}
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		panic(err) // it cannot fail: there are only strings
	}
	return data
}
