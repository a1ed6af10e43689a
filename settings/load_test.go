package settings

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// sample holds a setting of each kind.
type sample struct {
	Name   string
	Peers  List
	Addr   Addr
	Period time.Duration
	On     bool
}

// newSample returns the settings from a file with this text, the environment and the arguments.
func newSample(t *testing.T, file string, environ []string, args ...string) (sample, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var s sample
	f := flag.NewFlagSet("sample", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.String(FileFlag, path, "")
	f.StringVar(&s.Name, "name", "default", "")
	f.Var(&s.Peers, "peers", "")
	f.Var(&s.Addr, "addr", "")
	f.Var(Duration{&s.Period}, "period", "")
	f.Var(Bool{&s.On}, "on", "")
	rest, err := Parse(f, args)
	if err != nil {
		return s, rest, err
	}
	return s, rest, Fill(f, environ)
}

func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	file := "name: file\nperiod: 1h\npeers: [a, b]\naddr: 198.18.0.1\non: yes\n"
	environ := []string{"PODLANE_NAME=environment", "PODLANE_PERIOD=2h", "OTHER=x", "PODLANE_ON=false", "PODLANE_ON=true"}
	got, rest, err := newSample(t, file, environ, "one", "--name=flag", "two")
	if err != nil {
		t.Fatal(err)
	}
	want := sample{Name: "flag", Period: 2 * time.Hour, Peers: List{"a", "b"}, On: true}
	if err := want.Addr.Set("198.18.0.1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(Addr{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"one", "two"}, rest); diff != "" {
		t.Errorf("other arguments (-want +got):\n%s", diff)
	}
}

func TestWrongSettings(t *testing.T) {
	for name, c := range map[string]struct {
		file, environ string
		args          []string
		want          string
	}{
		"unknown key":             {file: "# a comment\nname: n1\nperio: 1h\n", want: `line 3: unknown key "perio"; do you mean "period"?`},
		"another beginning":       {file: "eriod: 1h\n", want: `line 1: unknown key "eriod"; do you mean "period"?`},
		"key far from all others": {file: "x: 1\n", want: `line 1: unknown key "x"`},
		"file in the file":        {file: "config: /x\n", want: `line 1: unknown key "config"`},
		"map as a value":          {file: "peers: {a: b}\n", want: "line 1: peers: want a plain value or a list of them"},
		"list in a list":          {file: "peers: [[a]]\n", want: "line 1: peers: want a list of plain values"},
		"no mapping":              {file: "- a\n", want: "line 1: want lines like `key: value`"},
		"not YAML":                {file: "a: [\n", want: "yaml: line"},
		"no duration in the file": {file: "\nperiod: soon\n", want: `line 2: period: "soon": want a duration such as 30s or 24h`},
		"no boolean":              {environ: "PODLANE_ON=perhaps", want: "environment PODLANE_ON=perhaps: want true or false"},
		"no address":              {environ: "PODLANE_ADDR=here", want: "want an IP address such as 198.18.0.1"},
		"unknown flag":            {args: []string{"--nam=x"}, want: "-nam"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := newSample(t, c.file, []string{c.environ}, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// `podlaned status` works with a file that has a mistake in it.
func TestCorrectSettingsOfAWrongFileAreSet(t *testing.T) {
	s, _, err := newSample(t, "nam: x\nperiod: soon\nname: n1\nname: n2\n", nil)
	if err == nil || !strings.Contains(err.Error(), "name") {
		t.Errorf("got error %v, want the first one of the file", err)
	}
	if s.Name != "n1" {
		t.Errorf("got name %q, want n1", s.Name)
	}
}

func TestMissingFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for name, c := range map[string]struct {
		set  func(*flag.FlagSet)
		want error
	}{
		"no flag for a file":     {func(*flag.FlagSet) {}, nil},
		"default file":           {func(f *flag.FlagSet) { f.String(FileFlag, missing, "") }, nil},
		"named by a flag":        {func(f *flag.FlagSet) { f.String(FileFlag, "", ""); _ = f.Set(FileFlag, missing) }, os.ErrNotExist},
		"a folder, by a default": {func(f *flag.FlagSet) { f.String(FileFlag, filepath.Dir(missing), "") }, unix.EISDIR},
	} {
		f := flag.NewFlagSet("sample", flag.ContinueOnError)
		c.set(f)
		if err := Fill(f, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
	}
}

func TestHelpIsPrintedOnce(t *testing.T) {
	var help strings.Builder
	f := flag.NewFlagSet("sample", flag.ContinueOnError)
	f.SetOutput(&help)
	f.Usage = func() { _, _ = io.WriteString(f.Output(), "usage\n") }
	if _, err := Parse(f, []string{"x", "--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got error %v, want %v", err, flag.ErrHelp)
	}
	if _, err := Parse(f, []string{"--none"}); err == nil {
		t.Error("an unknown flag is accepted")
	}
	if got := help.String(); got != "usage\n" {
		t.Errorf("printed %q, want the usage of --help only", got)
	}
}

func TestGivenSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podlaned.yaml")
	for name, c := range map[string]struct {
		file, env, want string
		args            []string
	}{
		"none":              {"name: n1\n", "", "", nil},
		"flag":              {"", "", "etcd-endpoints", []string{"--etcd-endpoints=http://a:2379"}},
		"the default value": {"", "", "etcd-prefix", []string{"--etcd-prefix=/podlane/network"}},
		"variable":          {"", "PODLANE_ETCD_USERNAME=u", "etcd-username", nil},
		"file":              {"etcd-keyfile: /key.pem\n", "", "etcd-keyfile", nil},
		"an empty variable": {"", "PODLANE_ETCD_ENDPOINTS=", "", nil},
		"the first of two":  {"etcd-username: u\n", "PODLANE_ETCD_PREFIX=/p", "etcd-prefix", nil},
	} {
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		f := flag.NewFlagSet("podlaned", flag.ContinueOnError)
		f.String(FileFlag, path, "")
		f.String("name", "", "")
		new(Etcd).Flags(f)
		if _, err := Parse(f, c.args); err != nil {
			t.Fatal(err)
		}
		if err := Fill(f, []string{c.env}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := FirstGiven(f, "etcd-"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
