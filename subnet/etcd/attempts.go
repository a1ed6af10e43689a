package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/podlane/podlane/pause"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A member of etcd may refuse a call that another member serves. gRPC sends each call to the next connected member, so a
// refused call is made again at once until a member serves it. A write is made again only if it was not proposed to the
// cluster: a second write could undo another node's write. If the error leaves this open (a timeout, "server stopped"), the
// write ends.

var errLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)

// refusals are errors of a member that proposed nothing.
var refusals = []error{
	errLearner,
	rpctypes.ErrNoLeader,
	rpctypes.ErrTooManyRequests, // it applies more slowly than the cluster commits
	rpctypes.ErrNotCapable,      // it has only just started
}

// unproposed reports whether a member refused a call without proposing it. A server that does not know the call is a proxy,
// or not etcd.
func unproposed(err error) bool {
	return status.Code(err) == codes.Unimplemented ||
		slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(rpctypes.Error(err), r) })
}

// reads reports whether a request only reads. It can be repeated after any answer.
func reads(request any) bool {
	switch r := request.(type) {
	case *pb.RangeRequest, *pb.LeaseTimeToLiveRequest:
		return true
	case *pb.TxnRequest:
		writes := func(op *pb.RequestOp) bool { return op.GetRequestRange() == nil }
		return !slices.ContainsFunc(r.GetSuccess(), writes) && !slices.ContainsFunc(r.GetFailure(), writes)
	}
	return false
}

// unavailable reports whether a member answered that it cannot serve at the moment. A broken connection is not an answer.
func unavailable(err error) bool {
	var answer rpctypes.EtcdError
	return errors.As(rpctypes.Error(err), &answer) && answer.Code() == codes.Unavailable
}

// attempts holds the results of one call's attempts.
type attempts struct {
	members int              // the number of endpoints
	reads   bool             // the call writes nothing
	refused map[string]error // by the address of the member
	until   time.Time        // how long to wait for members that are not connected yet
}

// The wait for a member that is not connected yet, after all connected ones have refused.
const (
	waitForMember  = 2 * time.Second
	retryConnected = 50 * time.Millisecond
)

func newAttempts(members int, reads bool) *attempts {
	return &attempts{members: members, reads: reads, refused: map[string]error{}}
}

// harmless reports whether a call that ended with err can be made again.
func (a *attempts) harmless(err error) bool { return unproposed(err) || a.reads && unavailable(err) }

// again reports whether to repeat the call that ended with err at a member. If each connected member has refused, it first
// waits for another one to connect.
func (a *attempts) again(ctx context.Context, at *peer.Peer, err error) bool {
	if !a.harmless(err) {
		return false
	}
	address := ""
	if at != nil && at.Addr != nil {
		address = at.Addr.String()
	}
	_, before := a.refused[address]
	a.refused[address] = err
	switch {
	case len(a.refused) >= a.members:
		return false
	case !before:
		return true
	case a.until.IsZero():
		a.until = time.Now().Add(waitForMember)
	case time.Now().After(a.until):
		return false
	}
	return pause.For(ctx, retryConnected)
}

// conclude returns the error of a call whose last attempt ended with err. It names learners, unless another member refused
// the call for another reason, which is more useful.
func (a *attempts) conclude(err error) error {
	if !a.harmless(err) {
		return err
	}
	learners := slices.Sorted(maps.Keys(a.refused))
	for _, address := range learners {
		if e := a.refused[address]; !errors.Is(rpctypes.Error(e), errLearner) {
			return e
		}
	}
	text := fmt.Sprintf("the member at %s is a learner: promote it", learners[0])
	if len(learners) > 1 {
		text = fmt.Sprintf("the members at %s are learners: promote one", strings.Join(learners, ", "))
	}
	if len(learners) < a.members {
		text = "no other member answers, and " + text
	}
	return status.Error(codes.FailedPrecondition, text+" with `etcdctl member promote`, or name a voting member in etcd-endpoints")
}
