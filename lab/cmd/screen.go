package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/lab"
)

// screen shows the lab's progress and its table.
type screen struct {
	out   *os.File
	style lab.Style
}

func newScreen(out *os.File) *screen {
	s := &screen{out: out}
	if size, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ); err == nil {
		s.style = lab.Style{Width: min(int(size.Col), 120), Colour: os.Getenv("NO_COLOR") == ""}
	}
	return s
}

func (s *screen) printf(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// step prints a step's name and, when it ends, how long it took.
func (s *screen) step(name string) func(error) {
	begun := time.Now()
	s.printf("  %-56s", name)
	return func(err error) {
		switch {
		case errors.Is(err, context.Canceled):
			s.printf(" stopped\n")
		case err != nil:
			s.printf("  failed\n")
		default:
			s.printf("%6.2f s\n", time.Since(begun).Seconds())
		}
	}
}

// printHints prints commands to explore a running lab.
func (s *screen) printHints(o upOptions, pods []*lab.Pod) {
	var config struct{ Backend struct{ VNI int } }
	config.Backend.VNI = 1
	_ = json.Unmarshal([]byte(o.config), &config) // podlaned accepted it
	device := fmt.Sprintf("podlane.%d", config.Backend.VNI)
	program := os.Args[0] + " exec"
	if o.name != defaultName {
		program += " --name " + o.name
	}
	first, last := pods[0], pods[len(pods)-1]
	s.printf("\nThe lab is up. Explore it from another terminal, as root:\n\n")
	for _, c := range []string{
		"n1 podlaned status",
		"n1 ip -d link show " + device,
		"n1 bridge fdb show dev " + device,
		"n1 ip route",
		first.Name + " ping -c 3 " + last.Addrs[0].String(),
		first.Name,
	} {
		note := ""
		if !strings.Contains(c, " ") {
			note = "   (a shell in the pod)"
		}
		s.printf("  %s %s%s\n", program, c, note)
	}
	s.printf("\nCtrl-C ends the lab and leaves nothing behind.\n")
}
