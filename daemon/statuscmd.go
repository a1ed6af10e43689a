package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/podlane/podlane/status"
)

// runStatus prints the status of the podlaned on this node: as text, or with --json the whole document.
func runStatus(ctx context.Context, c config, rest []string, io streams) error {
	if err := noMore(rest); err != nil {
		return err
	}
	s, err := status.Ask(ctx, filepath.Join(c.runDir, status.Socket))
	if err != nil {
		return err
	}
	if c.json {
		e := json.NewEncoder(io.out)
		e.SetIndent("", "  ")
		err = e.Encode(s)
	} else {
		err = s.Print(io.out, time.Now())
	}
	if err == nil && (!s.Ready || len(s.Problems) > 0) {
		return errSilent
	}
	return err
}
