package main

import (
	"context"
	"errors"
	"os"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/podlane/podlane/underlay"
)

// errReload ends a run whose configuration has changed; the next one takes over what stands in the kernel, as after a
// restart.
var errReload = errors.New("reloading the configuration")

// awaitReload returns errReload when a signal has asked for the configuration to be read again and the new one is of use.
// Where it is not, the one in use stays, and that is trouble until it is put right. systemd hears of it once it has been
// told that the daemon has started: the end of a reload says READY=1 too, and what waits for that must not go on before.
func (d *daemon) awaitReload(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-signals:
		}
		tell := d.started.Load()
		if tell {
			_, _ = systemd.SdNotify(false, reloading()) // notify says what is wrong with systemd
		}
		next, err := d.config.again()
		if err == nil {
			err = next.usable()
		}
		if d.troubles.check("reload", err) {
			d.next = next
			return errReload
		}
		if tell {
			_, _ = systemd.SdNotify(false, systemd.SdNotifyReady)
		}
	}
}

// usable tells whether the daemon could start with a configuration, as far as it can be known before.
func (c *config) usable() error {
	if err := c.identity(); err != nil {
		return err
	}
	store, err := openStore(*c, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	saved, _ := loadState(c.stateDir, c.etcdPrefix) // the next start reports its error
	_, err = firstUnderlay(*c, saved, &underlay.Paths{})
	return err
}
