// Command bench measures podlane beside the kernel and the standard tools, on the same machine in the same run. It
// writes ratios, raw figures and curves to a folder: RESULTS.md and one SVG each. Everything else is in a sandbox
// that the kernel removes when bench ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
	"github.com/podlane/podlane/lab/sandbox"
)

// bench holds what the measurements share.
type bench struct {
	bin    string // the folder with podlaned, podlane-cni, podlane-gate, lab and cni/
	quick  bool   // fewer rounds and smaller numbers: checks that it runs, gives no figures
	keep   string // a folder for profiles of podlaned; empty: none are made
	beside string // a folder with podlaned of another build, which path measures too; empty: none
}

// scenarios are the measurements in the order of the report, with how long they take on two cores.
var scenarios = []struct {
	name    string
	minutes int
	run     func(context.Context, bench) (Section, error)
}{
	{"start", 3, start},
	{"live", 3, live},
	{"join", 5, join},
	{"cni", 1, cni},
	{"path", 9, path},
	{"idle", 7, idle},
}

func main() {
	b, only, out, err := parse(os.Args[1:])
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	os.Exit(sandbox.Run(func() int { return run(b, only, out) }, nil))
}

func parse(args []string) (b bench, only []string, out string, err error) {
	program, err := os.Executable()
	if err != nil {
		return b, nil, "", err
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.bin, "bin", filepath.Dir(program), "`FOLDER` with podlaned, podlane-cni, podlane-gate, lab and cni/")
	f.BoolVar(&b.quick, "quick", false, "small numbers and few rounds: only to see that it runs")
	f.StringVar(&out, "out", "bench", "`FOLDER` for RESULTS.md and the plots")
	f.StringVar(&b.keep, "profiles", "", "`FOLDER` for profiles of podlaned, made after each measurement of idle and live")
	f.StringVar(&b.beside, "beside", "", "`FOLDER` with podlaned of another build: path measures it too")
	names := f.String("only", "", "`NAME,...` of measurements; default: all of "+strings.Join(known(), ","))
	if err := f.Parse(args); err != nil {
		return b, nil, "", err
	}
	only = known()
	if *names != "" {
		only = strings.Split(*names, ",")
	}
	for _, name := range only {
		if !slices.Contains(known(), name) {
			return b, nil, "", fmt.Errorf("--only %s: unknown; the measurements are %s", name, strings.Join(known(), ", "))
		}
	}
	for _, folder := range []*string{&b.bin, &out, &b.keep, &b.beside} {
		if *folder == "" {
			continue
		}
		if *folder, err = filepath.Abs(*folder); err != nil {
			return b, nil, "", err
		}
	}
	return b, only, out, nil
}

func known() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func run(b bench, only []string, out string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := measure(ctx, b, only, out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// measure runs the measurements one after the other. It writes each result when it is done, so that it survives a
// later failure. A measurement that is not requested keeps the result of an earlier run.
func measure(ctx context.Context, b bench, only []string, out string) error {
	if err := b.prepare(); err != nil {
		return err
	}
	machine, err := readMachine()
	if err != nil {
		return err
	}
	missed := 0
	for _, s := range scenarios {
		if !slices.Contains(only, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s (%s)\n", s.name, b.lasts(s.minutes))
		section, err := s.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		section.Name, section.Machine = s.name, machine
		fmt.Println(section.Markdown())
		if err := errors.Join(section.write(out), writeResults(out, known())); err != nil {
			return err
		}
		missed += section.missed()
	}
	if missed > 0 {
		return fmt.Errorf("%d figures miss their limits", missed)
	}
	return nil
}

// lasts returns how long a measurement takes.
func (b bench) lasts(minutes int) string {
	switch {
	case b.quick:
		return "quick"
	case minutes == 1:
		return "1 minute"
	}
	return fmt.Sprintf("%d minutes", minutes)
}

// prepare makes the folder for profiles. It reports missing tools now, before a measurement needs them.
func (b bench) prepare() error {
	if err := errors.Join(lab.CheckTools(b.bin), checkTools(b.bin, b.beside)); err != nil || b.keep == "" {
		return err
	}
	return os.MkdirAll(b.keep, 0o755)
}

// checkTools returns an error that names missing tools, except those that the lab needs. beside may be empty.
func checkTools(bin, beside string) error {
	names := []string{"bridge", "ss", "strace", "stdbuf", "iperf3", "taskset", "iptables-nft-save", "iptables-nft-restore", filepath.Join(bin, "_empty"), filepath.Join(bin, "_turns")}
	if beside != "" {
		names = append(names, filepath.Join(beside, "podlaned"))
	}
	var missing []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: missing; `make bench` installs and builds them", strings.Join(missing, ", "))
	}
	return nil
}
