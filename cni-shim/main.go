// Program podlane-cni is podlane's CNI plugin (spec 1.1.0 and back to 0.3.0). From its own configuration and the node
// file it makes the configuration of another plugin, the delegate. The default is bridge with host-local for addresses.
// Then it becomes that plugin by exec. So it has no child to wait for, no output to relay, and no state.
//
//	runtime --configuration, CNI_*--> podlane-cni --exec--> bridge --> host-local
//	                                      ^
//	podlaned --/run/podlane/subnet.env----'
//
// The keys of its configuration. Only the name and the version are required, and a list gives these:
//
//	{
//	  "type": "podlane-cni",
//	  "nodeFile": "/run/podlane/subnet.env",
//	  "delegate": {                 // the delegate's own keys: they win over the node file's values
//	    "type": "bridge",
//	    "bridge": "cni0",
//	    "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/networks"}
//	  }
//	}
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

// versions lists the valid values of cniVersion.
const versions = "podlane-cni supports cniVersion 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0; " +
	"CHECK begins with 0.4.0, GC and STATUS with 1.1.0"

func main() { os.Exit(run()) }

// run handles one call by the runtime. It returns only if no delegate replaced the process: after VERSION, GC and our own
// errors. skel reads and checks the environment, and the configuration's name and version. Measured, it adds 0.14 ms. The
// exec and a Go program of this kind take 1.7 ms anyway.
func run() int {
	commands := skel.CNIFuncs{Add: add, Check: check, Del: del, GC: gc, Status: status}
	err := skel.PluginMainFuncsWithError(commands, cni.VersionsStartingFrom("0.3.0"), "podlane-cni "+version)
	if err == nil {
		return 0
	}
	if err.Code == types.ErrIncompatibleCNIVersion && err.Details == "" {
		err.Details = versions
	}
	if err := err.Print(); err != nil {
		fmt.Fprintln(os.Stderr, "podlane-cni: print error:", err)
	}
	return 1
}
