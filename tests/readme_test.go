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
)

// happening is a row of the README's table "When things fail", with the tests that show it. A test is named by its
// folder and its name.
type happening struct {
	what, does string
	shown      []string
}

func TestReadmeTellsWhatTheTestsShow(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## When things fail\n")
	section, _, _ = strings.Cut(section, "\n## ")
	told := regexp.MustCompile(`(?m)^\|.*\|$`).FindAllString(section, -1)
	want := []string{"| what happens | what podlane does |", "|---|---|"}
	tests := testsByFolder(t)
	for _, h := range happenings {
		want = append(want, "| "+h.what+" | "+h.does+" |")
		for _, name := range h.shown {
			if !tests[name] {
				t.Errorf("%q is to be shown by %s, which there is not", h.what, name)
			}
		}
		if len(h.shown) == 0 {
			t.Errorf("no test shows %q", h.what)
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("the README's table differs from the tests', which is:\n%s", strings.Join(want, "\n"))
	}
}

// testsByFolder is every test function of the module: tests/faults.TestDaemon.
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
