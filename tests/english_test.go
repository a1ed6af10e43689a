package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// How long a sentence may be, in words. The median is over all comments and docs.
const (
	maxSentence    = 25
	medianSentence = 10
)

// badEnglish are words and phrases that a reader has to decode, each with what to write instead. They are searched in
// comments and in docs.
var badEnglish = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{words(`tells? whether|is whether|are whether`), "reports whether"},
	{words(`stands?|stood|standing`), "exists, is installed, is programmed"},
	{words(`as it should( be)?|as ours are`), "correct, in sync, matches"},
	{words(`somebody|anybody|nobody|somebody else`), "another process, another program, another node, no node"},
	{words(`is let in|are let in|held up|holds up|(put|puts) (right|back)`), "accepted, delayed, repaired, restored"},
	{words(`has gone|have gone|is no more|are no more`), "was deleted, is gone"},
	{words(`anew|afresh`), "again"},
	{words(`just now`), "currently"},
	{words(`says?|said|tells?|told`), "logs, returns, prints, reports"},
	{words(`what is wrong with`), "error, fault, problem"},
	{words(`well again`), "recovered"},
	{words(`unfit|unwell|odd|oddity|oddities`), "unsupported, failed, degraded"},
	{words(`passed over|takes? over`), "ignored, skipped; adopts"},
	{words(`where (there|it|they|that|this|these|nothing|none|no|one|another|possible|needed|not|only|both|all|any|ours|what)`), "if, when"},
	{regexp.MustCompile(`(^|[.;:] )Where `), "if, when"},
	{regexp.MustCompile(`(^|[.;:] )(Nor|Neither)\b`), "a plain sentence with \"not\""},
	{words(`nor`), "a plain sentence with \"not\""},
	{regexp.MustCompile(`, for (it|they|there|he|we|nothing|none|which) `), "because"},
}

func words(alternatives string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(` + alternatives + `)\b`)
}

// badNames are words that mean nothing in an identifier of this field.
var badNames = regexp.MustCompile(`(?i)(unfit|unwell|oddit|hearing|victim|useless|spoken|^odd$|^stood$|^stands$|^somebody)`)

// paragraph is a text without line breaks, and the place where it begins.
type paragraph struct {
	at   string // file:line
	text string
}

// pending are the folders whose texts are still to be rewritten: their faults are logged.
var pending = []string{}

func isPending(at string) bool {
	folder := filepath.Dir(strings.Split(at, ":")[0])
	return slices.Contains(pending, folder) || slices.ContainsFunc(pending, func(p string) bool { return strings.HasPrefix(folder, p+"/") })
}

func TestPlainEnglish(t *testing.T) {
	var lengths []int
	fail := func(at, format string, args ...any) {
		t.Helper()
		if isPending(at) {
			t.Logf(at+": "+format, args...)
		} else {
			t.Errorf(at+": "+format, args...)
		}
	}
	perFolder := map[string][]int{}
	for _, p := range readProse(t, fail) {
		for _, bad := range badEnglish {
			if found := bad.pattern.FindString(p.text); found != "" {
				fail(p.at, "%q; write: %s", strings.TrimSpace(found), bad.instead)
			}
		}
		for _, sentence := range sentences(p.text) {
			n := len(strings.Fields(sentence))
			if n > maxSentence {
				fail(p.at, "a sentence of %d words: %s", n, sentence)
			}
			if n > 2 { // shorter ones are labels
				lengths = append(lengths, n)
				folder := filepath.Dir(strings.Split(p.at, ":")[0])
				perFolder[folder] = append(perFolder[folder], n)
			}
		}
	}
	if len(lengths) < 1000 {
		t.Fatalf("only %d sentences found", len(lengths))
	}
	for folder, n := range perFolder {
		t.Logf("%-24s %4d sentences, median %d, longest %d", folder, len(n), median(n), slices.Max(n))
	}
	t.Logf("all: %d sentences, median %d, longest %d", len(lengths), median(lengths), slices.Max(lengths))
	if m := median(lengths); len(pending) == 0 && m > medianSentence {
		t.Errorf("the median sentence has %d words, more than %d", m, medianSentence)
	}
}

func median(n []int) int {
	slices.Sort(n)
	return n[len(n)/2]
}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"One. Two.":                            {"One.", "Two."},
		"Is it? Yes! It is.":                   {"Is it?", "Yes!", "It is."},
		"It has v1.2.3 and 10.5.0.0/16.":       {"It has v1.2.3 and 10.5.0.0/16."},
		"See RFC 7348, section 4. It is long.": {"See RFC 7348, section 4.", "It is long."},
		"A kind (e.g. a route) of 3 ms.":       {"A kind (e.g. a route) of 3 ms."},
		"Unfinished":                           {"Unfinished"},
	} {
		if got := sentences(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

var (
	sentenceEnd = regexp.MustCompile(`[.?!][)"'*]* +`)
	noEnd       = regexp.MustCompile(`(e\.g|i\.e|etc|vs)\.[)"'*]* +$`)
)

// sentences splits a text at full stops, question marks and exclamation marks that a space follows.
func sentences(text string) (list []string) {
	start := 0
	for _, at := range sentenceEnd.FindAllStringIndex(text, -1) {
		if !noEnd.MatchString(text[start:at[1]]) {
			list = append(list, strings.TrimSpace(text[start:at[1]]))
			start = at[1]
		}
	}
	if rest := strings.TrimSpace(text[start:]); rest != "" {
		list = append(list, rest)
	}
	return list
}

// readProse returns the comments of all Go files and the text of all pages.
func readProse(t *testing.T, fail func(at, format string, args ...any)) (all []paragraph) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == filepath.Join("..", "bin") || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && path != ".."):
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		switch filepath.Ext(name) {
		case ".go":
			if name != "tests/english_test.go" { // it names what it forbids
				all = append(all, readComments(t, path, name, fail)...)
			}
		case ".md":
			if name != "CHANGELOG.md" && !strings.HasPrefix(name, "bench/") { // history, and a program's output
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				all = append(all, readPage(name, string(data))...)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readComments returns the comments of a Go file and checks the names that it declares.
func readComments(t *testing.T, path, name string, fail func(at, format string, args ...any)) (all []paragraph) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Obj != nil && id.Obj.Pos() == id.Pos() && badNames.MatchString(id.Name) {
			fail(place(name, set.Position(id.Pos()).Line), "name %s: use the field's word", id.Name)
		}
		return true
	})
	for _, group := range file.Comments {
		all = append(all, readText(name, set.Position(group.Pos()).Line, group.Text())...)
	}
	return all
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	link     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	listItem = regexp.MustCompile(`^\s*([-*]|\d+\.) +`)
	marks    = regexp.MustCompile(`[*_]{2,}|^#+ +|^> *`)
)

// readPage returns the paragraphs of a Markdown page without its code blocks. A table's cell is a paragraph.
func readPage(name, text string) (all []paragraph) {
	code := false
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			code = !code
			line = ""
		case code:
			line = ""
		}
		kept = append(kept, line)
	}
	return readText(name, 1, strings.Join(kept, "\n"))
}

// readText splits a text into paragraphs, list items and cells. Lines that begin with a tab or four spaces are code.
func readText(name string, first int, text string) (all []paragraph) {
	var open []string
	start, inItem := first, false
	flush := func() {
		if plain := strings.TrimSpace(strings.Join(open, " ")); plain != "" {
			all = append(all, paragraph{place(name, start), plain})
		}
		open, inItem = nil, false
	}
	for i, line := range strings.Split(text, "\n") {
		line = link.ReplaceAllString(codeSpan.ReplaceAllString(line, "CODE"), "$1")
		trimmed := strings.TrimSpace(line)
		indented := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ")
		switch {
		case trimmed == "", indented && !inItem:
			flush()
			continue
		case strings.HasPrefix(trimmed, "|"):
			flush()
			for cell := range strings.SplitSeq(strings.Trim(trimmed, "|"), "|") {
				if strings.Trim(cell, " :-") != "" {
					all = append(all, paragraph{place(name, first+i), strings.TrimSpace(marks.ReplaceAllString(cell, ""))})
				}
			}
			continue
		case listItem.MatchString(line), strings.HasPrefix(trimmed, "#"):
			flush()
			inItem = !strings.HasPrefix(trimmed, "#")
			line = listItem.ReplaceAllString(line, "")
		}
		if len(open) == 0 {
			start = first + i
		}
		open = append(open, strings.TrimSpace(marks.ReplaceAllString(line, "")))
	}
	flush()
	return all
}

func place(name string, line int) string { return name + ":" + strconv.Itoa(line) }
