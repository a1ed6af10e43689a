package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is a row of docs/configuration.md for each setting.
func documented() (rows []string) {
	var c config
	c.flags("run").VisitAll(func(f *flag.Flag) {
		placeholder, usage := flag.UnquoteUsage(f)
		if placeholder == "" || f.Value.String() == "true" || f.Value.String() == "false" {
			placeholder = "true or false"
		}
		initial := ""
		if f.DefValue != "" {
			initial = "`" + f.DefValue + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", f.Name, placeholder, initial, usage))
	})
	return rows
}

func TestDocumentedSettingsAreThoseThereAre(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	have := regexp.MustCompile("(?m)^\\| `[a-z0-9-]+` \\|.*$").FindAllString(string(text), -1)
	if want := documented(); !slices.Equal(have, want) {
		t.Errorf("docs/configuration.md differs from the flags, which are:\n%s", strings.Join(want, "\n"))
	}
}
