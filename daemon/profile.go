package main

import (
	"net/http"
	"net/http/pprof"
)

// profiled is a handler that also answers GET /debug/pprof/ (see net/http/pprof). It is for the local socket alone: a
// profile takes CPU time to make, and tells what the daemon is told.
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
