package subnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// NodeFile is the node's data for the CNI plugin. Other programs on the node can use the file too, for example as a
// systemd EnvironmentFile.
type NodeFile struct {
	Network  Pair   // the whole pod network
	Subnet   Pair   // this node's pod subnets; the file writes them as the gateway's address with the length
	MTU      int    // of pods, in bytes
	IPMasq   bool   // the daemon masquerades packets that leave the pod network
	NotReady string // why no new pod may be attached; empty if one may
}

// The keys of the file. keyIPMasq is always last. So a truncated file lacks it, or the end of its line.
const (
	keyNetwork     = "PODLANE_NETWORK"
	keySubnet      = "PODLANE_SUBNET"
	keyIPv6Network = "PODLANE_IPV6_NETWORK"
	keyIPv6Subnet  = "PODLANE_IPV6_SUBNET"
	keyMTU         = "PODLANE_MTU"
	keyNotReady    = "PODLANE_NOT_READY"
	keyIPMasq      = "PODLANE_IPMASQ"
)

// ErrIncomplete is the error for a truncated node file.
var ErrIncomplete = errors.New("the file is incomplete")

// Gateway returns the pod subnet's first usable address. The bridge has it, and pods route through it.
func Gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

// Marshal returns the file's text: one KEY=value per line.
func (n NodeFile) Marshal() []byte {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	for _, f := range Families {
		if s := n.Subnet.Half(f); s.IsValid() {
			line(familyKeys[f][0], n.Network.Half(f).String())
			line(familyKeys[f][1], netip.PrefixFrom(Gateway(s), s.Bits()).String())
		}
	}
	line(keyMTU, strconv.Itoa(n.MTU))
	if n.NotReady != "" {
		line(keyNotReady, quote(n.NotReady))
	}
	line(keyIPMasq, strconv.FormatBool(n.IPMasq))
	return []byte(b.String())
}

var familyKeys = [len(Families)][2]string{{keyNetwork, keySubnet}, {keyIPv6Network, keyIPv6Subnet}}

// quote puts text on one line that systemd, a shell and ParseNodeFile read alike. Their escapes differ, so a character
// that needs one becomes an apostrophe or a space.
func quote(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case strings.ContainsRune("\"\\$`", r):
			return '\''
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return `"` + s + `"`
}

// ParseNodeFile parses the file's text. It ignores unknown keys, so an older CNI plugin can read a newer daemon's file.
// A truncated file is ErrIncomplete.
func ParseNodeFile(data []byte) (NodeFile, error) {
	values := map[string]string{}
	rest := string(data)
	for rest != "" {
		line, after, ended := strings.Cut(rest, "\n")
		if !ended {
			return NodeFile{}, fmt.Errorf("%w: its last line has no end", ErrIncomplete)
		}
		rest = after
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return NodeFile{}, fmt.Errorf("line %.40q is not KEY=value", line)
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		values[key] = value
	}
	return parseValues(values)
}

func parseValues(values map[string]string) (n NodeFile, err error) {
	for _, f := range Families {
		text, ok := values[familyKeys[f][1]]
		if !ok {
			continue
		}
		gateway, err := netip.ParsePrefix(text)
		if err != nil || FamilyOf(gateway.Addr()) != f || gateway.Addr() != Gateway(gateway) {
			return NodeFile{}, fmt.Errorf("%s=%.60s is not the gateway of an %s pod subnet", familyKeys[f][1], text, f)
		}
		text = values[familyKeys[f][0]]
		network, err := netip.ParsePrefix(text)
		if err != nil || !aligned(network) || !Contains(network, gateway) {
			return NodeFile{}, fmt.Errorf("%s=%.60s does not contain the pod subnet %s", familyKeys[f][0], text, gateway)
		}
		n.Subnet, n.Network = n.Subnet.With(f, gateway.Masked()), n.Network.With(f, network)
	}
	if n.Subnet.IsZero() {
		return NodeFile{}, fmt.Errorf("%w: neither %s nor %s", ErrIncomplete, keySubnet, keyIPv6Subnet)
	}
	masq, ok := values[keyIPMasq]
	if !ok {
		return NodeFile{}, fmt.Errorf("%w: no %s", ErrIncomplete, keyIPMasq)
	}
	if n.IPMasq, err = strconv.ParseBool(masq); err != nil {
		return NodeFile{}, fmt.Errorf("%s=%.20s is neither true nor false", keyIPMasq, masq)
	}
	if n.MTU, err = strconv.Atoi(values[keyMTU]); err != nil || n.MTU < n.Subnet.MinMTU() || n.MTU > MaxMTU {
		return NodeFile{}, fmt.Errorf("%s=%.20s is not between %d and %d", keyMTU, values[keyMTU], n.Subnet.MinMTU(), MaxMTU)
	}
	n.NotReady = values[keyNotReady]
	return n, nil
}

// ReadNodeFile reads the file at path. The error wraps fs.ErrNotExist if the file does not exist, and ErrIncomplete if it
// is truncated.
func ReadNodeFile(path string) (NodeFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return NodeFile{}, fmt.Errorf("read node file: %w", err)
	}
	n, err := ParseNodeFile(data)
	if err != nil {
		return NodeFile{}, fmt.Errorf("node file %s: %w", path, err)
	}
	return n, nil
}

// WriteFile writes data to path by rename, so a reader sees either the old file or the new one. It syncs the file, so a
// power cut also leaves one of the two. It creates a missing folder with mode 0755.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the CNI plugin and the user read what is in it
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // does nothing after the rename
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = replace(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replace renames a file over another, or over an empty folder. Container runtimes create such a folder if they must mount
// a file that does not exist yet.
func replace(from, to string) error {
	err := os.Rename(from, to)
	if err != nil && syscall.Rmdir(to) == nil {
		return os.Rename(from, to)
	}
	return err
}
