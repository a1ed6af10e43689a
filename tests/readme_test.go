package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// happening is a row of the README's table "When things fail". shown are the tests for it, by folder and name.
type happening struct {
	what, does string
	shown      []string
}

func TestReadmeFailureTableMatchesTheTests(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## When things fail\n")
	section, _, _ = strings.Cut(section, "\n## ")
	got := regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(section, -1)
	want := []string{"| what happens | what podlane does |", "|---|---|"}
	tests := testsByFolder(t)
	for _, h := range happenings {
		want = append(want, "| "+h.what+" | "+h.does+" |")
		for _, name := range h.shown {
			if !tests[name] {
				t.Errorf("%q: no test %s", h.what, name)
			}
		}
		if len(h.shown) == 0 {
			t.Errorf("no test shows %q", h.what)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the README's table (-want +got):\n%s", diff)
	}
}

// testsByFolder returns every test function of the module, such as tests/faults.TestDaemon.
func testsByFolder(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files, err := filepath.Glob("../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("../*/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Concat(files, deeper) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				found[folder+"."+f.Name.Name] = true
			}
		}
	}
	return found
}
