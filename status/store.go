package status

import (
	"cmp"
	"fmt"
	"time"
)

// storeName returns the name of the store's check. An older podlaned, which knows only etcd, reports none.
func (s Status) storeName() string { return cmp.Or(s.Store, StoreEtcd) }

// Place returns where a store has the leases, for sentences.
func Place(store string) string {
	if store == StoreKubernetes {
		return "the Kubernetes API"
	}
	return "etcd"
}

// storeSeen returns when the store last answered.
func (s Status) storeSeen() time.Time {
	switch {
	case s.Kubernetes != nil:
		return s.Kubernetes.Seen
	case s.Etcd != nil:
		return s.Etcd.Seen
	}
	return time.Time{}
}

// storeFault returns why the store is not readable or not writable, or nothing.
func (s Status) storeFault(now time.Time) string {
	trouble, seen := "", s.storeSeen()
	switch {
	case s.Kubernetes != nil:
		trouble = s.Kubernetes.Trouble
	case s.Etcd != nil:
		trouble = s.Etcd.Trouble
	}
	switch {
	case trouble != "":
		return trouble
	case seen.IsZero():
		return "it has not answered yet"
	case now.Sub(seen) > maxSilence:
		return fmt.Sprintf("its last answer was %s", Ago(seen, now))
	}
	return ""
}

// storeText returns the state of the store for people.
func (s Status) storeText(now time.Time) string {
	switch {
	case s.Kubernetes != nil && s.Kubernetes.Connected:
		return fmt.Sprintf("%s is connected, answered %s", s.Kubernetes.Feeder, Ago(s.Kubernetes.Seen, now))
	case s.Kubernetes != nil:
		return "podlane-kube is NOT CONNECTED, answered " + Ago(s.Kubernetes.Seen, now)
	case s.Etcd != nil:
		return fmt.Sprintf("%s, prefix %s, answered %s", Join(s.Etcd.Endpoints), s.Etcd.Prefix, Ago(s.Etcd.Seen, now))
	}
	return "not known yet"
}
