package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"
)

// runStatus asks the daemon on this node how it is, and prints the answer: for a person, or with --json whole.
func runStatus(ctx context.Context, c config, rest []string, io streams) error {
	if err := noMore(rest); err != nil {
		return err
	}
	s, err := askStatus(ctx, filepath.Join(c.runDir, socketName))
	if err != nil {
		return err
	}
	if c.json {
		e := json.NewEncoder(io.out)
		e.SetIndent("", "  ")
		err = e.Encode(s)
	} else {
		err = s.print(io.out, time.Now())
	}
	if err == nil && (!s.Ready || len(s.Problems) > 0) {
		return errSilent
	}
	return err
}

func askStatus(ctx context.Context, socket string) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podlaned/status", nil)
	if err != nil {
		return s, err
	}
	response, err := client.Do(request)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op
		}
		return s, fmt.Errorf("ask podlaned on this node: %w; %s", err, askAdvice(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask podlaned on this node: it answers %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read podlaned's answer: %w", err)
	}
	slices.SortFunc(s.Peers, func(a, b peerStatus) int { return a.PublicIP.Compare(b.PublicIP) })
	return s, nil
}

// askAdvice is what an operator can do where podlaned could not be asked.
func askAdvice(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "run it as root"
	}
	return "is it running? `systemctl status podlaned` tells"
}
