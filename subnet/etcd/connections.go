package etcd

import (
	"context"

	"google.golang.org/grpc/stats"
)

// connections reports each new connection to etcd. The client makes them and resumes its watches on them silently. But a new
// connection may lead to an etcd that has lost data.
type connections struct{ made chan<- struct{} }

// HandleConn is called by gRPC for each connection. It does not block.
func (c connections) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, begin := s.(*stats.ConnBegin); begin {
		select {
		case c.made <- struct{}{}:
		default: // one value is enough
		}
	}
}

// newConnection reports whether there was a new connection since the last report.
func (s *Store) newConnection() bool {
	select {
	case <-s.connected:
		return true
	default:
		return false
	}
}

// HandleRPC, TagConn and TagRPC do nothing.
func (connections) HandleRPC(context.Context, stats.RPCStats) {}

// TagConn does nothing.
func (connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC does nothing.
func (connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
