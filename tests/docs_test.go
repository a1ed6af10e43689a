package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns the text of all pages for people, by their paths in the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, file := range append(files, "../README.md", "../CONTRIBUTING.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(filepath.ToSlash(file), "../")] = string(data)
	}
	return texts
}

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	noAnchor   = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

func TestLinksInDocsExist(t *testing.T) {
	texts := pages(t)
	for page, text := range texts {
		for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), path))
			}
			if _, err := os.Stat(filepath.Join("..", target)); err != nil {
				t.Errorf("%s: the link to %s: %v", page, m[1], err)
			}
			if anchor != "" && !slices.Contains(anchors(texts[target]), anchor) {
				t.Errorf("%s: the link to %s: the page has no such heading", page, m[1])
			}
		}
	}
}

// repositoryPath matches a path in the repository: daemon/loop.go, subnet/etcd/, .ci/run. It matches no URL and no command.
var repositoryPath = regexp.MustCompile("`([.]?[a-z][a-z0-9-]*(?:/[A-Za-z0-9_.-]+)*/?)`")

func TestPathsInDevelopmentExist(t *testing.T) {
	texts := pages(t)
	for _, page := range []string{"docs/development.md", "CONTRIBUTING.md"} {
		found := 0
		for _, m := range repositoryPath.FindAllStringSubmatch(texts[page], -1) {
			if !strings.Contains(m[1], "/") {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		if found == 0 {
			t.Errorf("%s has no path", page)
		}
	}
}

func TestMapOfFoldersIsComplete(t *testing.T) {
	text := pages(t)["docs/development.md"]
	_, folders, _ := strings.Cut(text, "\n## The folders\n")
	folders, _, _ = strings.Cut(folders, "\n## ")
	ours, _ := listPackages(t)
	for name := range ours {
		top, _, _ := strings.Cut(name, "/")
		if within(name, "subnet", "backend", "firewall") {
			top = name
		}
		if !strings.Contains(folders, "| `"+top+"/` |") {
			t.Errorf("docs/development.md: the table of folders has no %s/", top)
		}
	}
}
