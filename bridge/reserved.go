package bridge

import (
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podlane/podlane/subnet"
)

// defaultReserved is the folder in which host-local has a folder for each network, with a file for each address in use. The
// file's first line is the container's ID.
const defaultReserved = "/var/lib/cni/networks"

// reservations returns the pods that have an address of the node's pod subnets, sorted by address: "10.5.1.2 (container
// 3f2a)". It returns none if another plugin allocates the addresses, or podlaned cannot read the folder.
func reservations(folder string, own subnet.Pair) []string {
	type pod struct {
		container string
		addrs     []netip.Addr
	}
	var pods []pod
	files, _ := filepath.Glob(filepath.Join(cmp.Or(folder, defaultReserved), "*", "*")) // the pattern is valid
	for _, file := range files {
		a, err := netip.ParseAddr(filepath.Base(file))
		if err != nil || !isOwn(netip.PrefixFrom(a, a.BitLen()), own) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		container, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		container = strings.TrimSpace(container)
		i := slices.IndexFunc(pods, func(p pod) bool { return p.container == container && container != "" })
		if i < 0 {
			i, pods = len(pods), append(pods, pod{container: container})
		}
		pods[i].addrs = append(pods[i].addrs, a)
	}
	for _, p := range pods {
		slices.SortFunc(p.addrs, netip.Addr.Compare)
	}
	slices.SortFunc(pods, func(a, b pod) int { return a.addrs[0].Compare(b.addrs[0]) })
	names := make([]string, len(pods))
	for i, p := range pods {
		words := make([]string, len(p.addrs))
		for j, a := range p.addrs {
			words[j] = a.String()
		}
		names[i] = strings.Join(words, " and ")
		if p.container != "" {
			names[i] += " (container " + p.container + ")"
		}
	}
	return names
}
