package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// eventNamespace is where the API server accepts Events of objects without a namespace, such as Nodes.
	eventNamespace = metav1.NamespaceDefault
	// component is the source of the Events.
	component = "podlane-kube"
	// maxPending bounds the Events that wait for the API server. If there are more, the oldest are dropped.
	maxPending = 20
)

// eventClient creates Events in eventNamespace.
type eventClient interface {
	Create(ctx context.Context, e *corev1.Event, opts metav1.CreateOptions) (*corev1.Event, error)
}

// newEvent returns the Event of a change. `kubectl describe node` finds the Events whose involvedObject has the Node's kind, name
// and uid, and no namespace. serial distinguishes Events of one moment.
func newEvent(name string, uid types.UID, c change, now time.Time, serial int) *corev1.Event {
	kind, message := corev1.EventTypeWarning, c.fault.String()
	if c.over {
		kind, message = corev1.EventTypeNormal, c.fault.kind+": recovered; it was: "+c.fault.text
	}
	at := metav1.NewTime(now)
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%.200s.%x%02x", name, now.UnixNano(), serial), Namespace: eventNamespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: uid},
		Type:           kind, Reason: c.fault.reason(), Message: cut(message, maxMessage),
		FirstTimestamp: at, LastTimestamp: at, Count: 1,
		Source:              corev1.EventSource{Component: component, Host: name},
		ReportingController: component, ReportingInstance: name,
	}
}

// eventQueue holds the Events that the API server has not received yet.
type eventQueue struct {
	client  eventClient
	pending []*corev1.Event

	err error // of the last attempt
	backoff
}

// add adds an Event.
func (q *eventQueue) add(e *corev1.Event) {
	q.pending = append(q.pending, e)
	if more := len(q.pending) - maxPending; more > 0 {
		q.pending = q.pending[more:]
	}
}

// send sends the Events in their order. The error is why some of them still wait. If an Event exists already, it
// was sent before, and only the answer was lost.
func (q *eventQueue) send(ctx context.Context, now time.Time) error {
	for len(q.pending) > 0 && !now.Before(q.retryAt) {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := q.client.Create(call, q.pending[0], metav1.CreateOptions{})
		cancel()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			q.err = describe("create an Event of the Node", err, now)
			q.failed(now)
			break
		}
		q.pending, q.err, q.failures = q.pending[1:], nil, 0
	}
	return q.err
}
