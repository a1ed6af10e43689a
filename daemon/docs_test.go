package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// settingRows returns the row of docs/configuration.md for each setting.
func settingRows() (rows []string) {
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

func TestDocumentedSettings(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	have := regexp.MustCompile("(?m)^\\| `[a-z0-9-]+` \\|.*$").FindAllString(string(text), -1)
	if diff := cmp.Diff(settingRows(), have); diff != "" {
		t.Errorf("docs/configuration.md differs from the flags (-flags +docs):\n%s", diff)
	}
}
