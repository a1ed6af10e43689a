package main

import (
	"context"
	"errors"
	"os"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/podlane/podlane/underlay"
)

// errReload ends a run because its configuration has changed. The next run keeps what is programmed in the kernel, as after a
// restart.
var errReload = errors.New("reloading the configuration")

// awaitReload reads the configuration again at each signal. It returns errReload if the new one is usable. Otherwise the
// one in use stays, and the error is a problem until it is corrected. A reload ends with READY=1, like a start. So systemd
// is notified only after the start: units that wait for the start must not begin early.
func (d *daemon) awaitReload(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-signals:
		}
		started := d.started.Load()
		if started {
			_, _ = systemd.SdNotify(false, reloading()) // notify reports systemd's errors
		}
		next, err := d.config.again()
		if err == nil {
			err = next.usable()
		}
		if d.problems.Check("reload", err) {
			d.next = next
			return errReload
		}
		if started {
			_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
		}
	}
}

// usable returns why podlaned cannot start with a configuration, as far as that is known before.
func (c *config) usable() error {
	if err := c.identity(); err != nil {
		return err
	}
	strict := *c
	strict.networkFile = "" // a start waits until etcd's files are valid; a reload refuses invalid ones
	store, err := openStore(strict, &networkFile{}, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	saved, _ := loadState(c.stateDir, c.storeIdentity()) // the next start reports its error
	_, err = firstUnderlay(*c, saved, &underlay.Paths{})
	return err
}
