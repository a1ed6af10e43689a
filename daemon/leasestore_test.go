package main

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// The loop must work with a second store: only the store itself and the command that edits etcd's configuration use etcd.
func TestFilesThatUseEtcd(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if strings.HasSuffix(i.Path.Value, `/subnet/etcd"`) && !strings.HasSuffix(file, "_test.go") {
				got = append(got, file)
			}
		}
	}
	if diff := gocmp.Diff([]string{"etcdstore.go", "networkconfig.go"}, got); diff != "" {
		t.Errorf("files that import subnet/etcd (-want +got):\n%s", diff)
	}
}
