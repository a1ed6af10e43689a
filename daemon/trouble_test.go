package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestTroubleIsSaidOnceAndItsEndOnce(t *testing.T) {
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	tr := newTroubles(log)
	for range 3 {
		if tr.check("etcd", errors.New("no answer")) {
			t.Error("an error is no trouble")
		}
	}
	tr.check("etcd", errors.New("still no answer"))
	tr.set("lease", "conflict")
	if got := tr.list(); !slices.Equal(got, []string{"etcd: still no answer", "lease: conflict"}) {
		t.Errorf("list: %q", got)
	}
	tr.set("lease", "")
	for range 2 {
		if !tr.check("etcd", nil) {
			t.Error("no error is trouble")
		}
	}
	if got := strings.Count(out.String(), "\n"); got != 4 || len(tr.list()) != 0 {
		t.Errorf("want each trouble and each end once, have %d lines and %q left:\n%s", got, tr.list(), out.String())
	}
}

func TestSeveralProblemsOfOneKind(t *testing.T) {
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	tr := newTroubles(log)
	tr.setAll("other firewalls", []string{"a drops", "b drops"})
	tr.setAll("other firewalls", []string{"b drops", "c drops"})
	if got := tr.list(); !slices.Equal(got, []string{"other firewalls: b drops", "other firewalls: c drops"}) {
		t.Errorf("list: %q", got)
	}
	tr.setAll("other firewalls", nil)
	if got := strings.Count(out.String(), "\n"); got != 4 || len(tr.list()) != 0 {
		t.Errorf("want each text and the end once, have %d lines and %q left:\n%s", got, tr.list(), out.String())
	}
}
