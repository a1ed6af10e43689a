// Package tests drives the built binaries as an operator would, and holds what is true of the source as a whole.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/podlane/podlane"

// goPackage holds what `go list -json` prints about a package.
type goPackage struct {
	ImportPath                string
	Standard                  bool
	Imports, Deps             []string
	TestImports, XTestImports []string
}

// listPackages returns the packages of this module by their folder, and all their dependencies by import path.
func listPackages(t *testing.T) (ours, all map[string]goPackage) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	ours, all = map[string]goPackage{}, map[string]goPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return ours, all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
		if path, ok := strings.CutPrefix(p.ImportPath, module+"/"); ok {
			ours[path] = p
		}
	}
}

// within reports whether an import path is in one of the roots. A root is a folder of this module or another module.
func within(path string, roots ...string) bool {
	path = strings.TrimPrefix(path, module+"/")
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}

func TestImportRules(t *testing.T) {
	ours, all := listPackages(t)
	for _, path := range []string{
		"subnet", "subnet/machine", "subnet/store", "subnet/annotation", "subnet/kubernetes", "subnet/etcd", "channel", "nft", "backend", "backend/vxlan", "cni-shim", "gate", "daemon", "kube", "settings", "status", "problems",
	} {
		if _, ok := ours[path]; !ok {
			t.Errorf("package %s is missing", path)
		}
	}
	const (
		etcdClient = "go.etcd.io/etcd/client"
		etcdServer = "go.etcd.io/etcd/server"
		netlink    = "github.com/vishvananda/netlink"
	)
	for path, p := range ours {
		// Rules for all dependencies of a package, direct or not.
		for _, dep := range p.Deps {
			wrong := ""
			switch {
			case within(dep, "daemon", "cni-shim", "gate"):
				wrong = "no package imports a command"
			case !within(path, "daemon", "kube", "settings", "status", "problems") && within(dep, "settings", "status", "problems"):
				wrong = "no import runs upwards: the commands alone have settings, a status document and a log of problems"
			case within(path, "settings", "status", "problems") && within(dep, "backend", "firewall", "rtnl", "underlay", netlink):
				wrong = "podlane-kube is built from it, and programs no kernel"
			case within(path, "status", "problems") && within(dep, "settings", "subnet/etcd", "subnet/kubernetes", "go.etcd.io"):
				wrong = "only settings opens the lease store"
			case path == "subnet" && !all[dep].Standard:
				wrong = "subnet is pure: the standard library only"
			case path == "subnet/machine" && !all[dep].Standard && dep != module+"/subnet" && dep != module+"/subnet/store":
				wrong = "the lease machine is pure: the standard library, subnet and subnet/store only"
			case path == "channel" && !all[dep].Standard && !within(dep, "subnet", "localsocket", "pause", "golang.org/x/sys") || path == "channel" && within(dep, "subnet/etcd", "subnet/machine"):
				wrong = "both ends of the channel import it: the standard library, x/sys, localsocket, pause, subnet and subnet/store only"
			case path == "subnet/kubernetes" && !all[dep].Standard && !within(dep, "channel", "localsocket", "pause", "golang.org/x/sys") && dep != module+"/subnet" && dep != module+"/subnet/store":
				wrong = "the store in podlaned knows no client of the API: channel, subnet, subnet/store and what the channel needs"
			case path == "subnet/annotation" && !all[dep].Standard && dep != module+"/subnet":
				wrong = "the codec of annotations is pure: the standard library and subnet only"
			case within(path, "backend", "firewall") && within(dep, "go.etcd.io", "subnet/etcd", "subnet/kubernetes"):
				wrong = "code that programs the kernel does not know the store"
			case !within(path, "daemon", "kube", "subnet") && dep == module+"/channel":
				wrong = "the channel connects podlaned's store with podlane-kube"
			case within(path, "kernel", "pause") && !all[dep].Standard:
				wrong = "every package that programs the kernel builds on it: the standard library only"
			case within(path, "nft") && strings.HasPrefix(dep, module) && !within(dep, "nft", "kernel"):
				wrong = "nft knows no table's content: several packages use it"
			case within(path, "firewall", "sysctl", "bridge", "rtnl") && within(dep, "backend"):
				wrong = "no import runs upwards"
			case within(path, "firewall/eval") && strings.HasPrefix(dep, module) && !within(dep, "firewall/eval", "subnet", "nft", "kernel"):
				wrong = "the evaluation of other programs' rules is pure: it knows packets and rules"
			case within(path, "cni-shim") && within(dep, "subnet/etcd", "subnet/kubernetes", "backend", "go.etcd.io", netlink):
				wrong = "the CNI plugin is small: not the daemon, not etcd, not netlink"
			case within(path, "gate") && within(dep, "subnet", "backend", "go.etcd.io", netlink):
				wrong = "podlane-gate works while podlaned is dead, and is small"
			case within(path, "lab/apiserver") && !all[dep].Standard && !within(dep, "lab/apiserver"):
				wrong = "the API server of the tests shares no code with the product: the standard library only"
			case within(path, "lab") && within(dep, "backend", "firewall", "nft"):
				wrong = "the lab drives the binaries, not what they are made of"
			case !within(path, "kube", "tests") && within(dep, "k8s.io/client-go", "k8s.io/api", "k8s.io/apimachinery"):
				wrong = "podlane-kube alone knows the API server: the overlay works without one"
			case !within(path, "bench", "lab", "tests") && within(dep, "lab", "tests", etcdServer):
				wrong = "the product does not contain its tests"
			}
			if wrong != "" {
				t.Errorf("%s depends on %s: %s", path, dep, wrong)
			}
		}
		// Rules for the imports in a package's own files.
		for _, imported := range p.Imports {
			wrong := ""
			switch {
			case path != "subnet/etcd" && within(imported, "subnet/machine"):
				wrong = "the lease machine is for the etcd store alone"
			case !within(path, "subnet/etcd", "bench", "lab", "tests") && within(imported, etcdClient):
				wrong = "the lease store is the only importer of the etcd client"
			case !within(path, "bench", "lab", "tests") && path != "underlay" && within(imported, netlink):
				wrong = "rtnl writes to the kernel; the netlink library reads the underlay"
			case !within(path, "firewall", "nft", "tests") && within(imported, "github.com/mdlayher/netlink"):
				wrong = "rtnl speaks rtnetlink; this library speaks nftables"
			case within(path, "cni-shim") && !all[imported].Standard &&
				!within(imported, "subnet", "github.com/containernetworking/cni", "golang.org/x/sys"):
				wrong = "the CNI plugin imports subnet, the CNI library and x/sys"
			case within(path, "gate") && !all[imported].Standard &&
				!within(imported, "github.com/containernetworking/cni", "golang.org/x/sys"):
				wrong = "podlane-gate imports the CNI library and x/sys"
			}
			if wrong != "" {
				t.Errorf("%s imports %s: %s", path, imported, wrong)
			}
		}
	}
}

// The black-box tests and the lab see the product from outside. So do their own tests.
func TestTestsImportNoInternals(t *testing.T) {
	ours, _ := listPackages(t)
	for path, p := range ours {
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			switch {
			case within(path, "tests") && strings.HasPrefix(imported, module) && !within(imported, "lab", "tests"):
				t.Errorf("%s imports %s: of this module the tests import the lab alone", path, imported)
			case within(path, "lab") && within(imported, "daemon", "backend", "firewall", "nft", "cni-shim", "gate"):
				t.Errorf("%s imports %s: the lab drives the binaries, not what they are made of", path, imported)
			}
		}
	}
}

// A package without a duty of its own collects unrelated code.
func TestNoUtilityPackages(t *testing.T) {
	ours, _ := listPackages(t)
	for path := range ours {
		for _, part := range strings.Split(path, "/") {
			if slices.Contains([]string{"pkg", "util", "utils", "common", "types", "helpers", "misc"}, part) {
				t.Errorf("package %s: name it after its duty", path)
			}
		}
	}
}
