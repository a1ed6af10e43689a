package etcd

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// The reasons why an etcd that answers reads refuses writes. Callers check for them with errors.Is, to name the command
// that ends the refusal.
var (
	ErrPermission = errors.New("permission denied") // the user's roles do not allow it; it is an ErrDenied too
	ErrNoSpace    = errors.New("it refuses writes because its space is used up (alarm NOSPACE)")
	ErrCorrupt    = errors.New("it refuses writes because the data of a member is corrupt (alarm CORRUPT)")
)

// alarm returns the alarm that makes etcd refuse writes, or nil.
func alarm(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return ErrNoSpace
	case errors.Is(err, rpctypes.ErrCorrupt):
		return ErrCorrupt
	}
	return nil
}
