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
	"github.com/podlane/podlane/subnet/machine"
)

// The errors that callers check with errors.Is. Run returns them only if the node has never held a lease and has no saved
// state. Later they are in State.Err.
var (
	ErrNoConfig      = machine.ErrNoConfig
	ErrConfig        = machine.ErrConfig
	ErrRefused       = machine.ErrRefused
	ErrDenied        = errors.New("etcd denies access") // wrong password, or no permission
	ErrConfigChanged = errors.New("another program changed the network configuration at the same time")
)

// fatal reports whether an error lasts until an operator does something.
func fatal(err error) bool {
	for _, f := range []error{ErrNoConfig, ErrConfig, ErrRefused, ErrDenied, machine.ErrInvalidLease, subnet.ErrFull} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// grpcMessage is an error of gRPC that prints its message alone. The rest (rpc error: code = ...) does not help an operator.
type grpcMessage struct{ error }

func (m grpcMessage) Error() string { return status.Convert(m.error).Message() }

func (m grpcMessage) Unwrap() error { return m.error }

// explain returns an error of the client in an operator's words, with the faults of the files that may cause it.
func (s *Store) explain(doing string, err error) error {
	if faults := s.files.faults(); len(faults) > 0 {
		return fmt.Errorf("%w; %s", s.reword(doing, err), strings.Join(faults, "; "))
	}
	return s.reword(doing, err)
}

func (s *Store) reword(doing string, err error) error {
	err = grpcMessage{err}
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
	if noAnswer(err) {
		return fmt.Errorf("etcd does not answer at %s: %s: %w", s.endpoints, doing, err)
	}
	return fmt.Errorf("etcd at %s: %s: %w", s.endpoints, doing, err)
}

// asker returns the user, for an error.
func (s *Store) asker() string {
	if s.user == "" {
		return "a client without a user"
	}
	return fmt.Sprintf("user %q", s.user)
}

// noAnswer reports whether no server answered, or only one that has lost its cluster.
func noAnswer(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var server rpctypes.EtcdError
	if errors.As(err, &server) {
		return server.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable || status.Code(err) == codes.DeadlineExceeded
}
