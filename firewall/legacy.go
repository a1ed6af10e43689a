package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/podlane/podlane/kernel"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/subnet"
)

// iptables-legacy keeps its rules in a part of the kernel of its own, which has no netlink and whose tables are
// replaced whole, under a lock of its programs. So its own program edits them.

// lockWait is for how many seconds the program waits for others that hold the lock.
const lockWait = "5"

// legacyLoaded tells whether iptables-legacy has a filter table in this network namespace. Asking the program would
// make one.
func legacyLoaded(f subnet.Family) bool {
	b, err := os.ReadFile(iptables[f].names)
	return err == nil && slices.Contains(strings.Fields(string(b)), filter)
}

// legacyProgram is where the program is; empty where it is not installed, or this process may not run it.
func legacyProgram(f subnet.Family) string {
	path, err := exec.LookPath(iptables[f].legacy)
	if err != nil || !mayOpenRaw() {
		return ""
	}
	return path
}

// mayOpenRaw tells whether this process has CAP_NET_RAW, without which the program cannot open its socket (raw(7)).
func mayOpenRaw() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_NET_RAW) != 0
}

// legacyRules are the wanted rules as the program prints them.
func legacyRules(pods []netip.Prefix) (rules []string) {
	for _, p := range pods {
		for _, option := range []string{"-s", "-d"} {
			rules = append(rules, fmt.Sprintf("-A %s %s %s -m comment --comment %s -j ACCEPT", forwardChain, option, p, mark))
		}
	}
	return rules
}

// planLegacy compares what `iptables-legacy -S` printed with the wanted rules, as planForward does. The changes are
// arguments of the program, one command each. It is a pure function.
func planLegacy(listing string, want []string, pods []packet) (changes [][]string, stands []string) {
	t := readLegacyTable(listing)
	point := t.insertPoint(pods)
	missing := slices.Clone(want)
	before := 0 // rules that remain, before that point
	for pos, r := range t.rules[forwardChain] {
		line := "-A " + forwardChain + " " + r
		i := slices.Index(missing, line)
		switch ours := isMarked(r); {
		case ours && i >= 0 && point.inTime(pos):
			stands = append(stands, line)
			missing = slices.Delete(missing, i, i+1)
		case ours && slices.Contains(stands, line) && !point.inTime(pos):
			// Deleting it by its text would delete the effective one. This one has no effect.
		case ours:
			changes = append(changes, append([]string{"-D"}, strings.Fields(line)[1:]...))
			continue
		}
		if pos < point.at {
			before++
		}
	}
	if !point.needed {
		return changes, stands
	}
	for i, line := range missing {
		where := []string{"-I", forwardChain}
		if before > 0 {
			where = append(where, strconv.Itoa(before+1+i))
		}
		changes = append(changes, append(where, strings.Fields(line)[2:]...))
	}
	return changes, stands
}

// isMarked reports whether a rule is ours.
func isMarked(rule string) bool { return strings.Contains(rule, " --comment "+mark+" ") }

// applyLegacy applies planLegacy if there is a table and a program. It returns its ops, the accepts in the chain, and the
// last listing. If it may not run the program, Advice has the command.
func applyLegacy(ctx context.Context, want []string, pods []packet, f subnet.Family) (p plan, listing string, err error) {
	if !legacyLoaded(f) {
		return p, "", nil
	}
	program := legacyProgram(f)
	if program == "" {
		return p, "", nil
	}
	object := func(rule string) string { return "rule " + iptables[f].legacy + rule }
	for range 2 { // the second round verifies
		if listing, err = listLegacy(ctx, program); err != nil {
			return p, "", err
		}
		changes, stands := planLegacy(listing, want, pods)
		for _, s := range stands {
			p.inPlace = append(p.inPlace, object(strings.TrimPrefix(s, "-A")))
		}
		if len(changes) == 0 {
			return p, listing, nil
		}
		for _, args := range changes {
			if err := editLegacy(ctx, program, args...); err != nil {
				return p, listing, err
			}
			p.Ops = append(p.Ops, kernel.Op{Verb: legacyVerbs[args[0]], Kind: "rule", Object: object(" " + legacyWords(args))})
		}
	}
	return p, listing, fmt.Errorf("verify %s %s: another program changes it at the same time", iptables[f].legacy, forwardChain)
}

var legacyVerbs = map[string]string{"-I": "add", "-D": "delete"}

// legacyWords returns the rule of a change, without the number of its position.
func legacyWords(args []string) string {
	words := slices.Clone(args[1:])
	if _, err := strconv.Atoi(words[1]); err == nil {
		words = slices.Delete(words, 1, 2)
	}
	return strings.Join(words, " ")
}

// listLegacy is the rules of the filter table. The kernel hands out one consistent copy, so this needs no lock; and it takes none
// (XTABLES_LOCKFILE, iptables 1.8.6), for WatchLegacy would take that for a change by others and look again: with an older
// program it looks twice a second.
func listLegacy(ctx context.Context, program string) (string, error) {
	cmd := exec.CommandContext(ctx, program, "-w", lockWait, "-S")
	cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+os.DevNull)
	return output(cmd)
}

// editLegacy changes one rule.
func editLegacy(ctx context.Context, program string, args ...string) error {
	_, err := output(exec.CommandContext(ctx, program, append([]string{"-w", lockWait}, args...)...)) //nolint:gosec // our own arguments
	return err
}

// output runs a program and tells what it prints, or what it complains of.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
}
