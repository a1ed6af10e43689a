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

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/firewall/eval"
	"github.com/podlane/podlane/kernel"
	"github.com/podlane/podlane/subnet"
)

// iptables-legacy has its rules in a separate part of the kernel, without netlink. A change replaces a whole table, under a
// lock of its programs. So podlaned runs its program.

// lockWait is how many seconds the program waits while another one holds the lock.
const lockWait = "5"

// legacyLoaded reports whether iptables-legacy has a filter table in this network namespace. It does not run the program,
// because that would create one.
func legacyLoaded(f subnet.Family) bool {
	b, err := os.ReadFile(iptables[f].names)
	return err == nil && slices.Contains(strings.Fields(string(b)), filter)
}

// legacyProgram returns the path of the program; empty if it is absent, or this process may not run it.
func legacyProgram(f subnet.Family) string {
	path, err := exec.LookPath(iptables[f].legacy)
	if err != nil || !mayOpenRaw() {
		return ""
	}
	return path
}

// mayOpenRaw reports whether this process has CAP_NET_RAW. Without it the program cannot open its socket (raw(7)).
func mayOpenRaw() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_NET_RAW) != 0
}

// legacyRules returns the wanted rules in the program's form.
func legacyRules(pods []netip.Prefix) (rules []string) {
	for _, p := range pods {
		for _, option := range []string{"-s", "-d"} {
			rules = append(rules, fmt.Sprintf("-A %s %s %s -m comment --comment %s -j ACCEPT", forwardChain, option, p, mark))
		}
	}
	return rules
}

// planLegacy compares what `iptables-legacy -S` printed with the wanted rules, as planForward does. Each change is the
// arguments of one command. The function is pure.
func planLegacy(listing string, want []string, pods []eval.Packet) (changes [][]string, inPlace []string) {
	parsed := eval.ParseListing(listing)
	rules := parsed.Rules(forwardChain)
	point := parsed.InsertPoint(pods, func(i int) bool { return isMarked(rules[i]) })
	missing := slices.Clone(want)
	before := 0 // how many rules before that point are not deleted
	for pos, r := range rules {
		line := "-A " + forwardChain + " " + r
		i := slices.Index(missing, line)
		switch ours := isMarked(r); {
		case ours && i >= 0 && point.Effective(pos):
			inPlace = append(inPlace, line)
			missing = slices.Delete(missing, i, i+1)
		case ours && slices.Contains(inPlace, line) && !point.Effective(pos):
			// A deletion by text deletes the first such rule, which is the effective one. This one is harmless.
		case ours:
			changes = append(changes, append([]string{"-D"}, strings.Fields(line)[1:]...))
			continue
		}
		if pos < point.Index {
			before++
		}
	}
	if !point.Needed {
		return changes, inPlace
	}
	for i, line := range missing {
		insert := []string{"-I", forwardChain}
		if before > 0 {
			insert = append(insert, strconv.Itoa(before+1+i))
		}
		changes = append(changes, append(insert, strings.Fields(line)[2:]...))
	}
	return changes, inPlace
}

// isMarked reports whether a rule is podlane's.
func isMarked(rule string) bool { return strings.Contains(rule, " --comment "+mark+" ") }

// applyLegacy executes planLegacy if there is a table and a program. It returns its ops, the accept rules in the chain, and the
// last listing. If it cannot run the program, Advice names the commands.
func applyLegacy(ctx context.Context, want []string, pods []eval.Packet, f subnet.Family) (p plan, listing string, err error) {
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
		changes, inPlace := planLegacy(listing, want, pods)
		for _, s := range inPlace {
			p.inPlace = append(p.inPlace, object(strings.TrimPrefix(s, "-A")))
		}
		if len(changes) == 0 {
			return p, listing, nil
		}
		for _, args := range changes {
			if err := editLegacy(ctx, program, args...); err != nil {
				return p, listing, err
			}
			p.Ops = append(p.Ops, kernel.Op{Verb: legacyVerbs[args[0]], Kind: "rule", Object: object(" " + legacyRuleText(args))})
		}
	}
	return p, listing, fmt.Errorf("verify %s %s: another program changes it at the same time", iptables[f].legacy, forwardChain)
}

var legacyVerbs = map[string]string{"-I": "add", "-D": "delete"}

// legacyRuleText returns the rule of a change, without the number of its position.
func legacyRuleText(args []string) string {
	words := slices.Clone(args[1:])
	if _, err := strconv.Atoi(words[1]); err == nil {
		words = slices.Delete(words, 1, 2)
	}
	return strings.Join(words, " ")
}

// listLegacy returns the rules of the filter table. The kernel returns one consistent copy, so the program needs no lock.
// XTABLES_LOCKFILE (iptables 1.8.6) makes it lock another file: WatchLegacy treats each release of the real lock as a change. An
// older program uses the real lock, so WatchLegacy then reads twice a second.
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

// output runs a program and returns what it prints to stdout. The error contains what it prints to stderr.
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
