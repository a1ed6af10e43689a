package main

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/podlane/podlane/status"
)

// nodeFault is a fault on this node.
type nodeFault struct {
	kind string // what does not work, in a few words: "etcd", "other CNI"
	text string // why, and what to do
}

// maxFaultText bounds the text of one fault, in bytes, so that a condition has room for several.
const maxFaultText = 400

// faultsOf returns the faults that podlaned and podlane-kube report, one for each kind, sorted by kind. A check and a problem of
// podlaned often have the same kind and text. podlaned also repeats what podlane-kube sends to it. Each report is "kind: text".
func faultsOf(podlaned status.Faults, own []string) []nodeFault {
	var faults []nodeFault
	for _, report := range slices.Concat(podlaned.Checks, podlaned.Problems, own) {
		kind, text, _ := strings.Cut(report, ": ")
		if slices.ContainsFunc(faults, func(f nodeFault) bool { return text != "" && f.text == text }) {
			continue
		}
		i := slices.IndexFunc(faults, func(f nodeFault) bool { return f.reason() == reasonOf(kind) })
		if i < 0 {
			faults = append(faults, nodeFault{kind, text})
		} else if !strings.Contains(faults[i].text, text) {
			faults[i].text += "; " + text
		}
	}
	for i := range faults {
		faults[i].text = cut(faults[i].text, maxFaultText)
	}
	slices.SortFunc(faults, func(a, b nodeFault) int { return cmp.Compare(a.reason(), b.reason()) })
	return faults
}

// String returns the fault as one sentence.
func (f nodeFault) String() string { return f.kind + ": " + f.text }

// reason returns the kind as the reason of a condition or an Event.
func (f nodeFault) reason() string { return reasonOf(f.kind) }

// reasonOf returns a kind in CamelCase: "other CNI" is OtherCNI.
func reasonOf(kind string) string {
	var b strings.Builder
	begin := true
	for _, r := range kind {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			begin = true
			continue
		}
		if begin {
			r, begin = unicode.ToUpper(r), false
		}
		b.WriteRune(r)
	}
	return cmp.Or(cut(b.String(), 64), "Other")
}

// cut returns the beginning of a text, of at most a number of bytes. It ends with … if something is missing.
func cut(text string, most int) string {
	const mark = "…"
	if len(text) <= most {
		return text
	}
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
