package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podlane/podlane/subnet/etcd"
)

// explain adds to an error of the lease store which key or settings it is about, and what mends it.
func explain(c config, err error) error {
	key := c.etcd.Prefix + "/config"
	switch {
	case errors.Is(err, etcd.ErrNoConfig) && !strings.HasPrefix(err.Error(), key):
		return fmt.Errorf("%s: %w", key, err)
	case errors.Is(err, etcd.ErrConfig):
		return fmt.Errorf("%s: %w; correct it with `podlaned config set FILE`", key, err)
	case errors.Is(err, etcd.ErrPermission):
		return fmt.Errorf("%w; give the user's role both rights with `etcdctl role grant-permission ROLE --prefix=true readwrite %s/`, or see the settings etcd-username and etcd-password-file",
			err, c.etcd.Prefix)
	case errors.Is(err, etcd.ErrNoSpace):
		return fmt.Errorf("%w; make room with `etcdctl compact REVISION` and `etcdctl defrag`, or give etcd a larger --quota-backend-bytes, then run `etcdctl alarm disarm`", err)
	case errors.Is(err, etcd.ErrCorrupt):
		return fmt.Errorf("%w; `etcdctl alarm list` names the member: replace it, then run `etcdctl alarm disarm`", err)
	case errors.Is(err, etcd.ErrDenied):
		return fmt.Errorf("%w; see the settings etcd-username and etcd-password-file", err)
	}
	return err
}
