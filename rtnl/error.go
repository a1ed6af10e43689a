package rtnl

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Error is the kernel's refusal of a request.
type Error struct {
	Errno unix.Errno
	Text  string // the kernel's explanation (extended acknowledgement, Linux 4.12); often empty
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Errno.Error()
	}
	return e.Errno.Error() + " (" + e.Text + ")"
}

// Unwrap returns the errno, for errors.Is(err, unix.EEXIST).
func (e *Error) Unwrap() error { return e.Errno }

// ErrInterrupted means that the dumped tables changed during the dump (NLM_F_DUMP_INTR): read them again.
var ErrInterrupted = errors.New("the kernel's tables changed while they were read")

var errShort = errors.New("a message from the kernel was cut short")

// answer returns the error in a message of type NLMSG_ERROR or NLMSG_DONE, or nil if there is none.
//
//	| errno | the request's header (NETLINK_CAP_ACK) | attributes, if NLM_F_ACK_TLVS is set |
func answer(m Message) error {
	if len(m.Body) < 4 {
		return errShort
	}
	code := int32(native.Uint32(m.Body)) //nolint:gosec // the field is signed: a negative errno
	if code >= 0 {
		return nil
	}
	e := &Error{Errno: unix.Errno(-code)}
	skip := 4
	if m.Type == unix.NLMSG_ERROR {
		skip += unix.SizeofNlMsghdr
	}
	if m.Flags&unix.NLM_F_ACK_TLVS != 0 && len(m.Body) >= skip {
		for a := AttrsOf(m.Body[skip:]); a.Next(); {
			if a.Type == unix.NLMSGERR_ATTR_MSG {
				e.Text = a.Text()
			}
		}
	}
	return e
}
