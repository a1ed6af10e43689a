package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/podlane/podlane/subnet"
)

// The errors that callers ask for with errors.Is. Run returns them only while the node has never held a lease and there
// is no saved state; later they stand in State.Err.
var (
	ErrNoConfig      = errors.New("there is no network configuration in etcd: write one with 'podlaned config set'")
	ErrConfig        = errors.New("the network configuration in etcd is not valid") // wraps what is wrong with it
	ErrRefused       = errors.New("refused")                                        // another live node has our public address
	ErrDenied        = errors.New("etcd denies access")                             // wrong password, or no permission
	ErrConfigChanged = errors.New("the network configuration was changed by somebody else at the same moment")
)

// useless is an error of Options.Check.
type useless struct{ error }

func (u useless) Unwrap() error { return u.error }

// fatal tells whether waiting does not help.
func fatal(err error) bool {
	for _, f := range []error{ErrNoConfig, ErrConfig, ErrRefused, ErrDenied, errInvalidLease, subnet.ErrFull} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// spoken is an error of gRPC in its words alone: the rest (rpc error: code = ...) says nothing to an operator.
type spoken struct{ error }

func (s spoken) Error() string { return status.Convert(s.error).Message() }

func (s spoken) Unwrap() error { return s.error }

// explain returns an error of the client in an operator's words, with the faults of the files that may cause it.
func (s *Store) explain(doing string, err error) error {
	if faults := s.files.faults(); len(faults) > 0 {
		return fmt.Errorf("%w; %s", s.reword(doing, err), strings.Join(faults, "; "))
	}
	return s.reword(doing, err)
}

func (s *Store) reword(doing string, err error) error {
	err = spoken{err}
	if errors.Is(err, rpctypes.ErrPermissionDenied) {
		return fmt.Errorf("%s: %w to %s at %s: etcdserver: %w", doing, ErrDenied, s.asker(), s.endpoints, ErrPermission)
	}
	if why := alarm(err); why != nil {
		return fmt.Errorf("etcd at %s: %s: %w: %w", s.endpoints, doing, why, err)
	}
	for _, denial := range []error{
		rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound, rpctypes.ErrRoleNotFound,
	} {
		if errors.Is(err, denial) {
			return fmt.Errorf("%s: %w to %s at %s: %w", doing, ErrDenied, s.asker(), s.endpoints, err)
		}
	}
	if silent(err) {
		return fmt.Errorf("etcd does not answer at %s: %s: %w", s.endpoints, doing, err)
	}
	return fmt.Errorf("etcd at %s: %s: %w", s.endpoints, doing, err)
}

// asker names who asks.
func (s *Store) asker() string {
	if s.user == "" {
		return "a client without a user"
	}
	return fmt.Sprintf("user %q", s.user)
}

// silent tells whether no server answered, or one that has lost its cluster.
func silent(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var server rpctypes.EtcdError
	if errors.As(err, &server) {
		return server.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded
}
