package main

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

// fromFile sets what neither flag nor environment has set. The file at the default place may be absent; one that the
// operator named may not. The error is about the first setting that is wrong; the others are set.
func (c *config) fromFile(f *flag.FlagSet, given map[string]bool) error {
	data, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) && !given["config"] {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration file: %w", err)
	}
	settings, err := parseFile(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.file, err)
	}
	for _, s := range settings {
		if wrong := c.fromLine(f, s, given); err == nil {
			err = wrong
		}
	}
	return err
}

func (c *config) fromLine(f *flag.FlagSet, s setting, given map[string]bool) error {
	known := f.Lookup(s.key)
	switch {
	case known == nil || s.key == "config":
		return fmt.Errorf("%s line %d: unknown key %q%s", c.file, s.line, s.key, nearest(f, s.key))
	case given[s.key]:
		return nil
	}
	if err := f.Set(s.key, s.value); err != nil {
		return fmt.Errorf("%s line %d: %s: %q: %w", c.file, s.line, s.key, s.value, err)
	}
	return nil
}

// setting is one line of the file.
type setting struct {
	key, value string
	line       int
}

// parseFile reads a YAML mapping of settings to scalars or lists of scalars. No key may stand twice. The error is about the
// first setting that is wrong; the others are returned.
func parseFile(data []byte) ([]setting, error) {
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
	var settings []setting
	var wrong error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		text, err := scalar(value)
		if err != nil {
			err = fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		} else if slices.ContainsFunc(settings, func(s setting) bool { return s.key == key.Value }) {
			err = fmt.Errorf("line %d: %s stands twice", key.Line, key.Value)
		}
		if err == nil {
			settings = append(settings, setting{key.Value, text, key.Line})
		} else if wrong == nil {
			wrong = err
		}
	}
	return settings, wrong
}

// scalar is a value's text; a list's parts are joined with commas.
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

// nearest suggests the known key that shares the longest beginning with an unknown one.
func nearest(f *flag.FlagSet, key string) string {
	best, shared := "", 3
	f.VisitAll(func(x *flag.Flag) {
		n := 0
		for n < len(key) && n < len(x.Name) && key[n] == x.Name[n] {
			n++
		}
		if n > shared && x.Name != "config" { // it cannot be in the file that it names
			best, shared = x.Name, n
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; do you mean %q?", best)
}
