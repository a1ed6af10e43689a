package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// readMachine describes the machine of the measurements.
func readMachine() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d cores, kernel %s, %s, commit %s.", processor(), runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version(), commit()), nil
}

// processor returns the name of the first processor.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, is := strings.CutPrefix(lines.Text(), "model name"); is {
			return strings.Join(strings.Fields(strings.TrimLeft(name, "\t :")), " ")
		}
	}
	return runtime.GOARCH
}

// commit returns the commit from which this program was built.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		revision, dirty := "", ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = " with changes"
			}
		}
		if len(revision) > 12 {
			return revision[:12] + dirty
		}
	}
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
