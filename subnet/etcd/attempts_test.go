package etcd

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func TestOnlyUnproposedCallsAreRetried(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{rpctypes.ErrGRPCNotSupportedForLearner, true},
		{status.Error(codes.Unavailable, "etcdserver: rpc not supported for learner"), true}, // etcd before 3.6
		{rpctypes.ErrGRPCNoLeader, true},
		{rpctypes.ErrGRPCNotCapable, true},
		{rpctypes.ErrGRPCRequestTooManyRequests, true},
		{status.Error(codes.Unknown, "etcdserver: too many requests"), true}, // as it is sent
		{status.Error(codes.Unimplemented, "unknown service etcdserverpb.KV"), true},

		{rpctypes.ErrGRPCStopped, false},
		{rpctypes.ErrGRPCLeaderChanged, false},
		{rpctypes.ErrGRPCTimeout, false},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, false},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, false},
		{rpctypes.ErrGRPCNoSpace, false},
		{rpctypes.ErrGRPCCorrupt, false},
		{rpctypes.ErrGRPCPermissionDenied, false},
		{rpctypes.ErrGRPCAuthFailed, false},
		{status.Error(codes.Unknown, "raft proposal dropped"), false}, // from a leader that is being replaced: a follower would forward the call to it
		{status.Error(codes.Unavailable, "transport is closing"), false},
		{context.DeadlineExceeded, false},
		{errors.New("etcdserver"), false},
	} {
		if got := unproposed(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

func TestReadsAreRetried(t *testing.T) {
	get := &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{}}}
	put := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{}}
	remove := &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{}}
	txn := func(then, otherwise *pb.RequestOp) *pb.TxnRequest {
		return &pb.TxnRequest{Success: []*pb.RequestOp{then}, Failure: []*pb.RequestOp{otherwise}}
	}
	for _, c := range []struct {
		request any
		err     error
		want    bool
	}{
		{txn(get, get), rpctypes.ErrGRPCStopped, true},
		{txn(get, get), rpctypes.ErrGRPCLeaderChanged, true},
		{txn(get, get), rpctypes.ErrGRPCPermissionDenied, false},
		{txn(get, get), status.Error(codes.Unavailable, "transport is closing"), false},
		{txn(get, put), rpctypes.ErrGRPCStopped, false},
		{txn(remove, get), rpctypes.ErrGRPCStopped, false},
		{&pb.RangeRequest{}, rpctypes.ErrGRPCStopped, true},
		{&pb.LeaseTimeToLiveRequest{}, rpctypes.ErrGRPCNoLeader, true},
		{&pb.PutRequest{}, rpctypes.ErrGRPCStopped, false},
		{&pb.LeaseGrantRequest{}, rpctypes.ErrGRPCStopped, false},
		{&pb.LeaseRevokeRequest{}, rpctypes.ErrGRPCStopped, false},
	} {
		if got := newAttempts(2, reads(c.request)).again(t.Context(), member(1), c.err); got != c.want {
			t.Errorf("%T{%v}, %v: %v", c.request, c.request, c.err, got)
		}
	}
}

func member(port int) *peer.Peer {
	return &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(198, 18, 0, 1), Port: port}}
}

func TestAttemptsEndWhenEachMemberHasRefused(t *testing.T) {
	learner, noLeader := rpctypes.ErrGRPCNotSupportedForLearner, rpctypes.ErrGRPCNoLeader
	type attempt struct {
		port  int
		err   error
		again bool
	}
	for name, c := range map[string]struct {
		members  int
		attempts []attempt
		err      string
	}{
		"a voter serves it":        {2, []attempt{{1, learner, true}, {2, nil, false}}, ""},
		"a voter refuses for good": {2, []attempt{{1, learner, true}, {2, rpctypes.ErrGRPCPermissionDenied, false}}, "etcdserver: permission denied"},
		"one learner":              {1, []attempt{{1, learner, false}}, "the member at 198.18.0.1:1 is a learner: promote it with `etcdctl member promote`, or name a voting member in etcd-endpoints"},
		"two learners": {2, []attempt{{2, learner, true}, {1, learner, false}},
			"the members at 198.18.0.1:1, 198.18.0.1:2 are learners: promote one with `etcdctl member promote`, or name a voting member in etcd-endpoints"},
		"no leader":                  {2, []attempt{{1, noLeader, true}, {2, learner, false}}, "etcdserver: no leader"},
		"another member of three":    {3, []attempt{{1, learner, true}, {1, learner, true}, {2, learner, true}, {3, nil, false}}, ""},
		"the same one until it ends": {2, []attempt{{1, learner, true}, {1, learner, true}, {1, nil, false}}, ""},
	} {
		a := newAttempts(c.members, false)
		var last error
		for i, at := range c.attempts {
			if last = at.err; a.again(t.Context(), member(at.port), at.err) != at.again {
				t.Errorf("%s: attempt %d: again is not %v", name, i, at.again)
			}
		}
		if got := text(messageOrNil(a.conclude(last))); got != c.err {
			t.Errorf("%s: %q, want %q", name, got, c.err)
		}
	}
}

func messageOrNil(err error) error {
	if err == nil {
		return nil
	}
	return grpcMessage{err}
}

// The only connected member is a learner. The call waits for another one to connect, but not longer than its caller.
func TestAttemptsWaitForAMemberToConnect(t *testing.T) {
	t.Parallel()
	a := newAttempts(2, false)
	start, tries := time.Now(), 1
	for ; a.again(t.Context(), member(1), rpctypes.ErrGRPCNotSupportedForLearner); tries++ {
	}
	if took := time.Since(start); took < waitForMember || took > waitForMember+time.Second || tries > 2+int(waitForMember/retryConnected) {
		t.Errorf("%d attempts in %v", tries, took)
	}
	want := "no other member answers, and the member at 198.18.0.1:1 is a learner: promote it with `etcdctl member promote`, or name a voting member in etcd-endpoints"
	if got := (grpcMessage{a.conclude(rpctypes.ErrGRPCNotSupportedForLearner)}).Error(); got != want {
		t.Errorf("%q", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	a = newAttempts(2, false)
	if !a.again(ended, member(1), rpctypes.ErrGRPCNoLeader) || a.again(ended, member(1), rpctypes.ErrGRPCNoLeader) {
		t.Error("it waits though the caller does not")
	}
}
