package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"github.com/podlane/podlane/pause"
)

const (
	// listenEvery is the time between two attempts to listen on an address.
	listenEvery = 5 * time.Second
	// maxConnections bounds the open connections to one address. Pods may reach the address of the setting metrics, and each
	// connection needs memory.
	maxConnections = 64
)

// serveTCP answers on TCP, at the address of a setting. Another program may use the address, or the node may not have it.
// That is a problem, and podlaned tries again. It does not end, because pods need their network more than the operator needs
// metrics.
func (d *daemon) serveTCP(ctx context.Context, setting, address string, h http.Handler) error {
	for {
		l, err := new(net.ListenConfig).Listen(ctx, tcpOf(address), address)
		if d.problems.Check(setting, err) {
			return serve(ctx, netutil.LimitListener(l, maxConnections), h)
		}
		if !pause.For(ctx, listenEvery) {
			return ctx.Err()
		}
	}
}

// tcpOf returns the network for a valid address. 0.0.0.0 means IPv4 only; with "tcp", Go would listen on IPv6 too.
func tcpOf(address string) string {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// metricsOnly answers GET /metrics, and nothing else, because pods can reach it.
func metricsOnly(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}
