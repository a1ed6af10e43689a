package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podlane/podlane/pause"
)

// Remote is what podlane-kube received last from podlaned. It is a value; its Announcement must not be changed.
type Remote struct {
	Connected    bool
	Fault        string        // why there is no connection; empty if there is one
	Hello        Hello         // of podlaned, from the newest connection
	Announcement *Announcement // the newest one from the newest connection; nil: none yet
}

// The time between two attempts to connect doubles from minBackoff to maxBackoff. A connection that lasted longer than
// maxBackoff resets it to minBackoff.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// Client is podlane-kube's side.
type Client struct {
	path   string
	hello  Hello
	timing timing
	out    *outbox

	remote Remote // only Run uses it
}

// NewClient returns a client of the podlaned with a run folder. It connects in Run. hello is this side's; its Version is
// filled in.
func NewClient(runDir string, hello Hello) *Client {
	hello.Version = Version
	return &Client{path: filepath.Join(runDir, Socket), hello: hello, timing: defaultTiming, out: newOutbox()}
}

// SendLeases sets the lease set. The newest one is sent after each hello and after each change. It must not be changed.
//
// A set that is Unconfirmed for the revision in podlaned's hello is withheld. The caller must send a confirmed one.
func (c *Client) SendLeases(l Leases) { c.out.put(kindLeases, l) }

// SendSource sets whether the source is reached. The newest one is sent after each hello, after each change and every 5 s.
func (c *Client) SendSource(s Source) { c.out.put(kindSource, s) }

// Run connects to podlaned, again and again, until ctx ends. It then returns nil.
//
// Run calls deliver after each change of the connection and of the announcement. It makes one call at a time.
func (c *Client) Run(ctx context.Context, deliver func(Remote)) error {
	backoff := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		fault := c.connect(ctx, deliver).Error()
		if ctx.Err() == nil && (c.remote.Connected || c.remote.Fault != fault) {
			c.remote.Connected, c.remote.Fault = false, fault
			deliver(c.remote)
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		pause.For(ctx, backoff)
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

// connect makes one connection and returns why it ended.
func (c *Client) connect(ctx context.Context, deliver func(Remote)) error {
	conn, err := (&net.Dialer{Timeout: c.timing.hello}).DialContext(ctx, "unix", c.path)
	if err != nil {
		return c.explain(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	sess := newSession(conn, c.timing, "podlaned", kindLeases, kindSource)
	peer, err := sess.handshake(c.hello)
	if err != nil {
		return fmt.Errorf("connect to %s: %w; podlane-kube must run as the same user as podlaned", c.path, err)
	}
	if err := checkHello(peer, c.hello); err != nil {
		return err
	}
	sess.peer, sess.seen = peer.label(), peer.Revision
	c.remote = Remote{Connected: true, Hello: peer}
	deliver(c.remote)
	var last []byte
	return sess.run(ctx, c.out, func(kind string, body []byte) error {
		if kind != kindAnnouncement || bytes.Equal(body, last) {
			return nil // a heartbeat
		}
		var a Announcement
		if err := decodeBody(kind, body, &a); err != nil {
			return err
		}
		if err := a.check(); err != nil {
			return fmt.Errorf("the message %q is invalid: %w", kind, err)
		}
		last = body
		c.remote.Announcement = &a
		deliver(c.remote)
		return nil
	})
}

// explain makes a sentence from an error of a connect.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("podlaned has no channel socket %s: it has not run since the boot, or its setting store is not kubernetes", c.path)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("podlaned does not run: no program listens on %s", c.path)
	}
	return fmt.Errorf("connect to podlaned: %w", err)
}
