package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// gcPercent is the garbage collection target (runtime/debug.SetGCPercent) unless GOGC is set. With 1,000 Nodes, most of the
// memory is the program itself. Go's default of 100 needs 2 MB more than 65.
const gcPercent = 65

// cores is how many cores podlane-kube uses at once (runtime.GOMAXPROCS) unless GOMAXPROCS is set. It waits nearly all the
// time, and with one core it needs 1 MB less.
const cores = 1

// HTTP/2 connections are checked by a ping after a silence. So podlane-kube notices an API server that vanished, as with a cut
// cable, after 10 s. The Kubernetes client reads the times from these variables, in seconds; its own are 30 and 15.
var pings = map[string]int{"HTTP2_READ_IDLE_TIMEOUT_SECONDS": 5, "HTTP2_PING_TIMEOUT_SECONDS": 5}

// tune sets what is the same for every run of podlane-kube node. Variables of the environment win.
func tune() error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cores)
	}
	for name, seconds := range pings {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, fmt.Sprint(seconds)); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
