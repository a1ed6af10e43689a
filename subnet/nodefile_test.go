package subnet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func nodeFile(notReady string) NodeFile {
	return NodeFile{
		Network:  pair("10.5.0.0/16", "fd00:5::/48"),
		Subnet:   pair("10.5.34.0/24", "fd00:5:0:22::/64"),
		MTU:      1450,
		IPMasq:   true,
		NotReady: notReady,
	}
}

func TestNodeFileText(t *testing.T) {
	const want = `PODLANE_NETWORK=10.5.0.0/16
PODLANE_SUBNET=10.5.34.1/24
PODLANE_IPV6_NETWORK=fd00:5::/48
PODLANE_IPV6_SUBNET=fd00:5:0:22::1/64
PODLANE_MTU=1450
PODLANE_NOT_READY="etcd is away"
PODLANE_IPMASQ=true
`
	if d := diff(want, string(nodeFile("etcd is away").Marshal())); d != "" {
		t.Errorf("text (-want +got):\n%s", d)
	}
}

func TestNodeFileRoundTrip(t *testing.T) {
	for _, n := range []NodeFile{
		nodeFile(""),
		nodeFile("etcd is away"),
		nodeFile(" = # 'x' é "),
		{Network: pair("10.5.0.0/16"), Subnet: pair("10.5.34.0/24"), MTU: 576},
		{Network: pair("fd00:5::/48"), Subnet: pair("fd00:5:0:22::/64"), MTU: 65535},
		{Network: pair("128.0.0.0/1"), Subnet: pair("255.255.255.252/30"), MTU: 1450},
		{Network: pair("8000::/1"), Subnet: pair("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"), MTU: 1450},
	} {
		got, err := ParseNodeFile(n.Marshal())
		if err != nil {
			t.Error(err)
		}
		if d := diff(n, got); d != "" {
			t.Errorf("parsed node file (-want +got):\n%s", d)
		}
	}
}

// A truncated file is always an error, and never another value.
func TestTruncatedNodeFileIsIncomplete(t *testing.T) {
	for _, n := range []NodeFile{nodeFile(""), nodeFile("PODLANE_IPMASQ=false"), {Network: pair("10.5.0.0/16"), Subnet: pair("10.5.34.0/24"), MTU: 1450}} {
		text := n.Marshal()
		for i := range text {
			if got, err := ParseNodeFile(text[:i]); !errors.Is(err, ErrIncomplete) {
				t.Errorf("truncated to %q: %+v, %v; want ErrIncomplete", text[:i], got, err)
			}
		}
	}
}

func TestMTUOfTheNodeFileFitsItsFamilies(t *testing.T) {
	for _, c := range []struct {
		network, subnet Pair
		least           int
	}{
		{pair("10.5.0.0/16"), pair("10.5.34.0/24"), 576},
		{pair("fd00:5::/48"), pair("fd00:5:0:22::/64"), 1280},
		{pair("10.5.0.0/16", "fd00:5::/48"), pair("10.5.34.0/24", "fd00:5:0:22::/64"), 1280},
	} {
		n := NodeFile{Network: c.network, Subnet: c.subnet, MTU: c.least}
		if got, err := ParseNodeFile(n.Marshal()); err != nil || got != n {
			t.Errorf("MTU %d of %v: %+v, %v", n.MTU, c.subnet, got, err)
		}
		n.MTU--
		_, err := ParseNodeFile(n.Marshal())
		wantError(t, err, fmt.Sprintf("PODLANE_MTU=%d is not between %d and 65535", n.MTU, c.least))
	}
}

func TestHandWrittenNodeFile(t *testing.T) {
	text := "# a comment\n\n  PODLANE_NETWORK=10.5.0.0/16  \r\nPODLANE_SUBNET=\"10.5.34.1/24\"\nPODLANE_MTU=9000\nPODLANE_MTU=1450\nPODLANE_FUTURE=a=b\nPODLANE_NOT_READY=\"\nPODLANE_IPMASQ=0\n"
	got, err := ParseNodeFile([]byte(text))
	want := NodeFile{Network: pair("10.5.0.0/16"), Subnet: pair("10.5.34.0/24"), MTU: 1450, NotReady: `"`}
	if err != nil {
		t.Error(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("node file (-want +got):\n%s", d)
	}
}

func TestInvalidNodeFile(t *testing.T) {
	good := string(nodeFile("").Marshal())
	long := strings.Repeat("x", 10_000)
	for _, c := range []struct{ old, new, want string }{
		{"10.5.34.1/24", "10.5.34.0/24", "PODLANE_SUBNET=10.5.34.0/24 is not the gateway of an IPv4 pod subnet"},
		{"10.5.34.1/24", "10.5.34.2/24", "is not the gateway"},
		{"10.5.34.1/24", "10.5.34.1", "is not the gateway"},
		{"10.5.34.1/24", "10.5.34.1/32", "is not the gateway"},
		{"10.5.34.1/24", "255.255.255.255/32", "is not the gateway"},
		{"10.5.34.1/24", "fd00:5::1/64", "PODLANE_SUBNET=fd00:5::1/64 is not the gateway of an IPv4 pod subnet"},
		{"10.5.34.1/24", "::ffff:10.5.34.1/120", "is not the gateway"},
		{"10.5.34.1/24", long, "is not the gateway"},
		{"10.5.34.1/24", "", "PODLANE_SUBNET= is not the gateway"},
		{"fd00:5:0:22::1/64", "10.5.34.1/24", "PODLANE_IPV6_SUBNET=10.5.34.1/24 is not the gateway of an IPv6 pod subnet"},
		{"10.5.0.0/16", "10.6.0.0/16", "PODLANE_NETWORK=10.6.0.0/16 does not contain the pod subnet 10.5.34.1/24"},
		{"10.5.0.0/16", "10.5.34.0/25", "does not contain the pod subnet"},
		{"10.5.0.0/16", "10.5.0.1/16", "does not contain the pod subnet"},
		{"10.5.0.0/16", "fd00:5::/48", "does not contain the pod subnet"},
		{"10.5.0.0/16", long, "does not contain the pod subnet"},
		{"PODLANE_NETWORK=10.5.0.0/16\n", "", "PODLANE_NETWORK= does not contain"},
		{"MTU=1450", "MTU=1279", "PODLANE_MTU=1279 is not between 1280 and 65535"},
		{"MTU=1450", "MTU=65536", "PODLANE_MTU=65536 is not between"},
		{"MTU=1450", "MTU=99999999999999999999", "is not between"},
		{"MTU=1450", "MTU=1450 bytes", "is not between"},
		{"PODLANE_MTU=1450\n", "", "PODLANE_MTU= is not between"},
		{"IPMASQ=true", "IPMASQ=yes", "PODLANE_IPMASQ=yes is neither true nor false"},
		{"IPMASQ=true", "IPMASQ=", "PODLANE_IPMASQ= is neither true nor false"},
		{"PODLANE_MTU=1450", "PODLANE_MTU 1450", `line "PODLANE_MTU 1450" is not KEY=value`},
		{"PODLANE_MTU=1450", long, "is not KEY=value"},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%q is not in the file", c.old)
		}
		got, err := ParseNodeFile([]byte(strings.Replace(good, c.old, c.new, 1)))
		wantError(t, err, c.want)
		if got != (NodeFile{}) {
			t.Errorf("an error comes with %+v", got)
		}
	}
}

var nastyReasons = []string{
	"plain", "it's \"quoted\"", "$(touch pwned)", "`touch pwned`", "${HOME}", "back\\slash\\", "\\", "\"", "a\nPODLANE_MTU=9000", "a\r\nb\tc\x00d\x7fe",
	"!history", "% * ? [a] ~ # ; & | < > ( ) { }", "ends in \\\n", " spaces ", "é ü 漢", "bad \xff\xfe utf-8", "'", "a'b", "=",
}

// The reason may be any text. A shell that sources the file reads the same text as ParseNodeFile, and runs no command.
func TestReasonIsSafeInAShell(t *testing.T) {
	for _, reason := range nastyReasons {
		dir := t.TempDir()
		n := nodeFile(reason)
		if err := WriteFile(filepath.Join(dir, "subnet.env"), n.Marshal(), 0o644); err != nil {
			t.Fatal(err)
		}
		read, err := ReadNodeFile(filepath.Join(dir, "subnet.env"))
		if err != nil || read.NotReady == "" {
			t.Fatalf("reason %q gives %+v, %v", reason, read, err)
		}
		n.NotReady = read.NotReady
		if d := diff(n, read); d != "" {
			t.Errorf("reason %q changes other fields (-want +got):\n%s", reason, d)
		}
		if strings.ContainsAny(read.NotReady, "\n\r\x00\x7f\"\\$`") {
			t.Errorf("reason %q keeps an unsafe character: %q", reason, read.NotReady)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", `. ./subnet.env; printf '%s|%s' "$PODLANE_NOT_READY" "$PODLANE_MTU$PODLANE_IPMASQ"`)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if want := read.NotReady + "|1450true"; err != nil || string(out) != want {
			t.Errorf("reason %q: sh prints %q, %v; want %q", reason, out, err, want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("reason %q: the folder has %v, %v; want one file", reason, entries, err)
		}
	}
}

func TestMissingNodeFile(t *testing.T) {
	_, err := ReadNodeFile(filepath.Join(t.TempDir(), "subnet.env"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	wantError(t, err, "read node file: open ")
}

func TestTruncatedNodeFileErrorNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	if err := os.WriteFile(path, []byte("PODLANE_NET"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := ReadNodeFile(path)
	if !errors.Is(err, ErrIncomplete) {
		t.Error(err)
	}
	wantError(t, err, "node file "+path+": the file is incomplete: its last line has no end")
}

func TestWriteFileReplacesByRename(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "file")
	for i, c := range []struct {
		text string
		mode fs.FileMode
	}{{"one", 0o644}, {"two", 0o600}, {"", 0o640}} {
		var old *os.File
		if i > 0 {
			var err error
			if old, err = os.Open(path); err != nil {
				t.Fatal(err)
			}
		}
		if err := WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.text {
			t.Errorf("%q, %v", got, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != c.mode {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, c.mode)
		}
		if old != nil { // a process that opened the old file still reads it
			before, err := old.Stat()
			if err != nil || os.SameFile(before, info) {
				t.Error("the file was written in place")
			}
			old.Close()
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}
}

func TestFailedWriteLeavesNoFileAndNamesThePath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o750); err != nil {
		t.Fatal(err)
	}
	wantError(t, WriteFile(path, []byte("x"), 0o644), "write "+path+": rename ")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	plain := filepath.Join(dir, "plain")
	if err := WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantError(t, WriteFile(filepath.Join(plain, "file"), nil, 0o644), "write "+plain+"/file: mkdir ")
	wantError(t, WriteFile("/proc/self/file", nil, 0o644), "write /proc/self/file: open ")
}

func FuzzParseNodeFile(f *testing.F) {
	f.Add(nodeFile("").Marshal())
	f.Add(NodeFile{Network: pair("fd00:5::/48"), Subnet: pair("fd00:5:0:22::/64"), MTU: 1280}.Marshal())
	for _, reason := range nastyReasons {
		f.Add(nodeFile(reason).Marshal())
		f.Add([]byte(strings.Replace(string(nodeFile("@").Marshal()), "@", reason, 1)))
	}
	f.Add([]byte("PODLANE_SUBNET=::ffff:10.0.0.1/120\nPODLANE_NETWORK=::ffff:0:0/96\nPODLANE_IPMASQ=1\nPODLANE_MTU=+1450\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNodeFile(data)
		if err != nil {
			if n != (NodeFile{}) || len(err.Error()) > 500 {
				t.Errorf("%+v, %s", n, err)
			}
			return
		}
		text := n.Marshal()
		again, err := ParseNodeFile(text)
		if err != nil || !bytes.Equal(again.Marshal(), text) {
			t.Fatalf("%q\nparses as %+v, %v", text, again, err)
		}
		if (n.NotReady == "") != (again.NotReady == "") {
			t.Errorf("NotReady %q became %q", n.NotReady, again.NotReady)
		}
		again.NotReady = n.NotReady
		if d := diff(n, again); d != "" {
			t.Errorf("parsed again (-first +second):\n%s", d)
		}
		for i := range text {
			if got, err := ParseNodeFile(text[:i]); err == nil {
				t.Fatalf("truncated to %q: %+v, want an error", text[:i], got)
			}
		}
	})
}

// A container runtime that mounts a missing file leaves a folder in its place.
func TestWriteFileReplacesAnEmptyFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	if err := os.Mkdir(path, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}
