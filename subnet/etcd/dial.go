package etcd

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// window is how many bytes etcd may be ahead of us: a page of a list at once.
const window = 1 << 20

// dialOptions make calls fail at once, with the reason, when no connection can be made: the etcd client would wait for
// the deadline and then name only that. A lost connection is tried again after at most 3 s, not after gRPC's 2 minutes.
func dialOptions(connected chan<- struct{}, observe func(string, time.Duration, error)) []grpc.DialOption {
	call := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		start := time.Now()
		err := invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
		if observe != nil {
			observe(path.Base(method), time.Since(start), err)
		}
		return err
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(call),
		grpc.WithStatsHandler(connections{connected}),
		// With windows of one size gRPC does not measure the line by pings, one for each answer: on a quiet node as many as
		// there are answers.
		grpc.WithStaticStreamWindowSize(window),
		grpc.WithStaticConnWindowSize(window),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
	}
}
