// Program podlane-gate is podlane's chained CNI plugin (spec 1.1.0 and back to 0.3.0). It is the last of the configuration
// list, so it runs when the pod's interface is complete. At ADD it announces the pod's addresses from inside the pod. The other
// commands do nothing. They need no podlaned, no result and no network namespace.
//
//	runtime --> podlane-cni (becomes bridge) --result--> portmap --result--> podlane-gate --the same result--> runtime
//
// Its only keys are those of every plugin:
//
//	{"type": "podlane-gate"}
package main

import (
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	cni "github.com/containernetworking/cni/pkg/version"
)

// version is the release; the linker sets it (-X main.version=).
var version = "unknown"

func main() { os.Exit(run()) }

// run answers one call of the runtime and returns the exit code.
func run() int {
	commands := skel.CNIFuncs{Add: add, Check: noOp, Del: noOp, GC: noOp, Status: noOp}
	err := skel.PluginMainFuncsWithError(commands, cni.VersionsStartingFrom("0.3.0"), "podlane-gate "+version)
	if err == nil {
		return 0
	}
	if err := err.Print(); err != nil {
		fmt.Fprintln(os.Stderr, "podlane-gate: print error:", err)
	}
	return 1
}

func noOp(*skel.CmdArgs) error { return nil }

// add announces the pod's addresses and returns the result of the plugins before it.
//
// A failed announcement is only a warning on standard error, which the runtime logs. The pod works. A node or pod that has the
// neighbour entry of an earlier pod corrects it by itself within a minute. Without the result of another plugin, or without
// the pod's network namespace, add returns an error.
func add(args *skel.CmdArgs) error {
	result, version, err := previousResult(args.StdinData)
	if err != nil {
		return err
	}
	names, err := podInterfaces(result, args.IfName)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if err := inside(args.Netns, func() { announceAll(names, args.ContainerID) }); err != nil {
			return err
		}
	}
	return types.PrintResult(result, version)
}
