package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Limits in lines. A reader gets lost in longer files and functions.
const (
	maxFileLines = 300
	maxFuncLines = 60
)

// longForAReason maps files ("folder/file.go") and functions ("folder/file.go: name") that read better long to the
// reason.
var longForAReason = map[string]string{}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	excused := map[string]bool{}
	check := func(what string, lines, limit int) {
		switch {
		case lines <= limit:
		case longForAReason[what] != "":
			excused[what] = true
		default:
			t.Errorf("%s has %d lines, want at most %d", what, lines, limit)
		}
	}
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == filepath.Join("..", "bin") || strings.HasPrefix(entry.Name(), ".") && path != ".."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files++
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		check(name, set.File(file.FileStart).LineCount(), maxFileLines)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				check(name+": "+f.Name.Name, set.Position(f.End()).Line-set.Position(f.Pos()).Line+1, maxFuncLines)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("%d files found, want at least 10", files)
	}
	for what := range longForAReason {
		if !excused[what] {
			t.Errorf("%s is short enough: it needs no reason", what)
		}
	}
}
