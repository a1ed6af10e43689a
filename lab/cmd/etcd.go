package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/signal"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"
)

// electionTicks is the number of heartbeats for which a member waits before it asks to lead: etcd's own ratio.
const electionTicks = 10

// etcd runs a member of etcd until SIGTERM. It is not for users: the lab starts it, see lab.Etcd.
func etcd(args []string) (int, error) {
	c, err := parseEtcd(args)
	if err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	e, err := embed.StartEtcd(c)
	if err != nil {
		return 1, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-ctx.Done():
		e.Server.Stop() // this hands leadership on; Close would wait seconds for watchers
		return 0, nil
	case err := <-e.Err():
		return 1, fmt.Errorf("etcd: %w", err)
	case <-e.Server.StopNotify():
		return 1, errors.New("etcd stopped")
	}
}

// parseEtcd returns a member's configuration. Its data need not survive a crash of the machine, so nothing is synced
// to disk.
func parseEtcd(args []string) (*embed.Config, error) {
	wal.SegmentSizeBytes = 4 << 20 // a segment is allocated as a whole, and the data is in memory
	c := embed.NewConfig()
	c.UnsafeNoFsync = true
	c.LogLevel, c.LogOutputs = "error", []string{"stderr"}
	flags := newFlags("etcd")
	flags.StringVar(&c.Name, "name", "", "the member's `NAME`")
	flags.StringVar(&c.Dir, "data", "", "the `FOLDER` of its data")
	flags.StringVar(&c.InitialCluster, "cluster", "", "`NAME=URL,...` of all members, for each other")
	client := flags.String("client", "", "its `URL` for clients")
	peer := flags.String("peer", "", "its `URL` for other members")
	tick := flags.Duration("tick", 50*time.Millisecond, "time between heartbeats")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	c.TickMs = uint(tick.Milliseconds())
	c.ElectionMs = electionTicks * c.TickMs
	for _, u := range []struct {
		text              string
		listen, advertise *[]url.URL
	}{
		{*client, &c.ListenClientUrls, &c.AdvertiseClientUrls},
		{*peer, &c.ListenPeerUrls, &c.AdvertisePeerUrls},
	} {
		parsed, err := url.Parse(u.text)
		if err != nil {
			return nil, usageError{err}
		}
		*u.listen, *u.advertise = []url.URL{*parsed}, []url.URL{*parsed}
	}
	return c, nil
}
