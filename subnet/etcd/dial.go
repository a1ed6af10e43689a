package etcd

import (
	"context"
	"path"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/peer"
)

// window is how many bytes etcd may send ahead of us: a page of a list at once.
const window = 1 << 20

// dialOptions returns options with these effects:
//   - If no connection can be made, a call fails at once with the reason. The etcd client would wait for the deadline, and then
//     name only that.
//   - A lost connection is tried again after at most 3 s, not after gRPC's 2 minutes.
//   - Members are dialled directly. The environment's proxy is for destinations outside the cluster, and gRPC would also use
//     it for http://.
func dialOptions(members int, connected chan<- struct{}, observe func(string, time.Duration, error)) []grpc.DialOption {
	attempt := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		attempts := newAttempts(members, reads(req))
		for {
			var at peer.Peer
			start := time.Now()
			err := invoke(ctx, method, req, reply, cc, slices.Concat(opts, []grpc.CallOption{grpc.WaitForReady(false), grpc.Peer(&at)})...)
			if observe != nil {
				observe(path.Base(method), time.Since(start), err)
			}
			if !attempts.again(ctx, &at, err) {
				return attempts.conclude(err)
			}
		}
	}
	stream := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return openRestream(ctx, members, func() (grpc.ClientStream, error) { return open(ctx, desc, cc, method, opts...) })
	}
	return []grpc.DialOption{
		grpc.WithNoProxy(),
		grpc.WithChainUnaryInterceptor(attempt),
		grpc.WithChainStreamInterceptor(stream),
		grpc.WithStatsHandler(connections{connected}),
		// With windows of a fixed size gRPC does not measure the bandwidth with pings. Otherwise a quiet node sends a ping
		// for each answer.
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
}
