package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// faultNamed returns a fault whose text is its kind in capital letters.
func faultNamed(kind string) nodeFault { return nodeFault{kind, strings.ToUpper(kind)} }

// play applies the faults of each second. It returns what was reported, each with its second: "12 +etcd", "40 -etcd".
func play(e *episodes, seconds int, at func(second int) []string) (log []string) {
	began := time.Unix(1000, 0)
	for second := range seconds {
		var faults []nodeFault
		for _, kind := range at(second) {
			faults = append(faults, faultNamed(kind))
		}
		_, changes, _ := e.next(faults, began.Add(time.Duration(second)*time.Second))
		for _, c := range changes {
			log = append(log, fmt.Sprintf("%d %s%s", second, map[bool]string{false: "+", true: "-"}[c.over], c.fault.kind))
		}
	}
	return log
}

func TestWhenFaultsAreReported(t *testing.T) {
	between := func(kind string, from, to, second int) []string {
		if second >= from && second < to {
			return []string{kind}
		}
		return nil
	}
	for name, c := range map[string]struct {
		at   func(second int) []string
		want []string
	}{
		"it lasts":                      {func(s int) []string { return between("etcd", 5, 60, s) }, []string{"15 +etcd", "70 -etcd"}},
		"it is short":                   {func(s int) []string { return between("etcd", 5, 14, s) }, nil},
		"it is absent for a short time": {func(s int) []string { return append(between("etcd", 5, 30, s), between("etcd", 38, 60, s)...) }, []string{"15 +etcd", "70 -etcd"}},
		"two kinds": {
			func(s int) []string { return append(between("etcd", 0, 40, s), between("lease", 20, 31, s)...) },
			[]string{"10 +etcd", "30 +lease", "41 -lease", "50 -etcd"},
		},
		"it is not over": {func(s int) []string { return between("etcd", 5, 1e6, s) }, []string{"15 +etcd"}},
	} {
		if diff := cmp.Diff(c.want, play(&episodes{}, 200, c.at)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A fault comes and goes every minute for three hours. An hour has at most three pairs of Events. Another kind is not affected.
func TestEventsAreBoundedByKind(t *testing.T) {
	log := play(&episodes{}, 3*3600, func(second int) []string {
		var kinds []string
		if second%60 < 30 {
			kinds = append(kinds, "etcd")
		}
		if second > 3600 {
			kinds = append(kinds, "lease")
		}
		return kinds
	})
	count := map[string]int{}
	for _, line := range log {
		_, what, _ := strings.Cut(line, " ")
		count[what]++
	}
	if diff := cmp.Diff(map[string]int{"+etcd": 3 * maxWarnings, "-etcd": 3 * maxWarnings, "+lease": 1}, count); diff != "" {
		t.Errorf("events (-want +got):\n%s\n%q", diff, log)
	}
}

func TestFaultIsDecidedAfterTheDebounceTime(t *testing.T) {
	e, began := &episodes{}, time.Unix(1000, 0)
	expect := func(second int, faults []nodeFault, want []nodeFault, decided bool) {
		t.Helper()
		active, _, got := e.next(faults, began.Add(time.Duration(second)*time.Second))
		if diff := cmp.Diff(want, active, cmp.AllowUnexported(nodeFault{})); diff != "" || got != decided {
			t.Errorf("second %d: decided %v, want %v; active (-want +got):\n%s", second, got, decided, diff)
		}
	}
	etcd, newer := faultNamed("etcd"), nodeFault{"etcd", "another text"}
	expect(0, nil, nil, true)
	expect(1, []nodeFault{etcd}, nil, false)
	expect(11, []nodeFault{etcd}, []nodeFault{etcd}, true)
	expect(12, []nodeFault{newer}, []nodeFault{newer}, true)
	expect(13, []nodeFault{newer, faultNamed("lease")}, []nodeFault{newer}, false)
	expect(14, nil, []nodeFault{newer}, true)
	expect(23, nil, []nodeFault{newer}, true)
	expect(24, nil, nil, true)
}
