package main

import "testing"

func TestRevisions(t *testing.T) {
	list := func(revision int64) func(*revisions) { return func(r *revisions) { r.listed(revision) } }
	change := func(revision int64) func(*revisions) { return func(r *revisions) { r.advanced(revision) } }
	hello := func(revision int64) func(*revisions) { return func(r *revisions) { r.raise(revision) } }
	for name, c := range map[string]struct {
		steps  []func(*revisions)
		losses int
		due    bool
		target int64
	}{
		"at the start":            {nil, 0, true, 0},
		"listed":                  {[]func(*revisions){list(10)}, 0, false, 10},
		"changes":                 {[]func(*revisions){list(10), change(12), change(11)}, 0, false, 12},
		"listed again":            {[]func(*revisions){list(10), change(12), list(12), list(20)}, 0, false, 20},
		"restored while watching": {[]func(*revisions){list(10), change(12), list(11)}, 1, false, 11},
		"podlaned has seen more":  {[]func(*revisions){list(10), hello(15)}, 0, true, 15},
		"podlaned has seen less":  {[]func(*revisions){list(10), hello(9)}, 0, false, 10},
		"podlaned has seen more, before the first list":   {[]func(*revisions){hello(15)}, 0, true, 15},
		"the cache was late":                              {[]func(*revisions){list(10), hello(15), list(15)}, 0, false, 15},
		"restored while podlane-kube was away":            {[]func(*revisions){hello(15), list(10)}, 1, false, 10},
		"podlaned repeats the lost revision":              {[]func(*revisions){hello(15), list(10), hello(15)}, 1, false, 10},
		"podlaned repeats it after more changes":          {[]func(*revisions){hello(15), list(10), change(13), hello(15)}, 1, false, 13},
		"restored twice":                                  {[]func(*revisions){list(20), list(10), change(12), list(11)}, 2, false, 11},
		"podlaned was away while it was restored twice":   {[]func(*revisions){list(20), list(10), change(12), list(11), hello(20)}, 2, false, 11},
		"a set that passed the lost revision, and no set": {[]func(*revisions){hello(15), list(10), change(16), hello(16)}, 1, false, 16},
	} {
		var r revisions
		for _, step := range c.steps {
			step(&r)
		}
		if r.losses != c.losses || r.due() != c.due || r.target != c.target {
			t.Errorf("%s: %+v, due: %v; want %d losses, due: %v, target %d", name, r, r.due(), c.losses, c.due, c.target)
		}
	}
}

func TestParseRevision(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "4711": 4711, "": 1, "0": 1, "-5": 1, "abc": 1, "99999999999999999999": 1} {
		if got := parseRevision(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
