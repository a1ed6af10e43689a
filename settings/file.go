package settings

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// FileFlag is the flag that names the YAML file with settings. A command without this flag reads no file.
const FileFlag = "config"

// fromFile sets the flags that are not given yet. The default file may be absent; a file that the operator named must exist.
// The error is about the first wrong line. The correct lines are set anyway.
func fromFile(f *flag.FlagSet, given map[string]bool) error {
	named := f.Lookup(FileFlag)
	if named == nil {
		return nil
	}
	file := named.Value.String()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !given[FileFlag] {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration file: %w", err)
	}
	lines, err := parseFile(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	for _, l := range lines {
		if wrong := l.set(f, given); wrong != nil && err == nil {
			err = fmt.Errorf("%s line %d: %w", file, l.number, wrong)
		}
	}
	return err
}

// line is one setting in the file.
type line struct {
	key, value string
	number     int
}

// set sets the flag with this key, unless it is given already.
func (l line) set(f *flag.FlagSet, given map[string]bool) error {
	switch {
	case f.Lookup(l.key) == nil || l.key == FileFlag:
		return fmt.Errorf("unknown key %q%s", l.key, suggestion(f, l.key))
	case given[l.key]:
		return nil
	}
	if err := f.Set(l.key, l.value); err != nil {
		return fmt.Errorf("%s: %q: %w", l.key, l.value, err)
	}
	return nil
}

// parseFile reads a YAML mapping of settings to scalars or lists of scalars. The error is about the first wrong setting. The
// correct ones are returned anyway.
func parseFile(data []byte) ([]line, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want lines like `key: value`", root.Line)
	}
	var lines []line
	var wrong error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		text, err := scalar(value)
		if err != nil {
			err = fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		} else if slices.ContainsFunc(lines, func(l line) bool { return l.key == key.Value }) {
			err = fmt.Errorf("line %d: %s is set twice", key.Line, key.Value)
		}
		if err == nil {
			lines = append(lines, line{key.Value, text, key.Line})
		} else if wrong == nil {
			wrong = err
		}
	}
	return lines, wrong
}

// scalar returns the text of a value. A list becomes its parts with commas between them.
func scalar(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of plain values")
			}
			parts[i] = item.Value
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("want a plain value or a list of them")
}

// suggestion names the key that an unknown one probably means, if there is one.
func suggestion(f *flag.FlagSet, key string) string {
	var known []string
	f.VisitAll(func(x *flag.Flag) {
		if x.Name != FileFlag { // it cannot be in the file that it names
			known = append(known, x.Name)
		}
	})
	if other := nearest(known, key); other != "" {
		return fmt.Sprintf("; do you mean %q?", other)
	}
	return ""
}
