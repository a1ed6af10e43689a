package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podlane/podlane/subnet/etcd"
)

// explain adds to an error of the lease store which key or settings it is about, and what mends it.
func explain(c config, err error) error {
	key := c.etcdPrefix + "/config"
	switch {
	case errors.Is(err, etcd.ErrNoConfig) && !strings.HasPrefix(err.Error(), key):
		return fmt.Errorf("%s: %w", key, err)
	case errors.Is(err, etcd.ErrConfig):
		return fmt.Errorf("%s: %w; put it right with `podlaned config set FILE`", key, err)
	case errors.Is(err, etcd.ErrDenied):
		return fmt.Errorf("%w; see the settings etcd-username and etcd-password-file", err)
	}
	return err
}
