package main

import (
	"net/http"
	"net/http/pprof"
)

// profiled returns a handler that also answers GET /debug/pprof/ (see net/http/pprof). It is only for the local socket: a
// profile costs CPU time, and shows the internals of podlaned.
//
//	curl --unix-socket /run/podlane/podlaned.sock -o cpu.pprof 'http://podlaned/debug/pprof/profile?seconds=10'
func profiled(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
