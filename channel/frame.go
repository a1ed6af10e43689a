package channel

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// A frame is a header line and a body:
//
//	{"kind":"leases","size":12345}\n
//	... exactly 12345 bytes of JSON ...
type header struct {
	Kind string `json:"kind"`
	Size int    `json:"size"` // of the body, in bytes
}

// The kinds of messages. A receiver ignores others.
const (
	kindHello        = "hello"        // both ways, the first message
	kindLeases       = "leases"       // to podlaned
	kindSource       = "source"       // to podlaned
	kindAnnouncement = "announcement" // from podlaned
	kindAlive        = "alive"        // both ways: there is nothing else to send
)

// Limits in bytes. Without them a faulty peer could fill the memory.
const (
	maxHeader = 4 << 10
	maxSet    = 64 << 20 // of the leases, and of a kind that is ignored
	maxOther  = 64 << 10
)

// limit returns the maximum size of the body of a kind.
func limit(kind string) int {
	switch kind {
	case kindHello, kindSource, kindAnnouncement, kindAlive:
		return maxOther
	}
	return maxSet
}

// errForeign means that the peer does not use this protocol.
var errForeign = errors.New("this is not podlane's channel protocol")

// readHeader reads the header of the next frame. The error is io.EOF if the connection ended before it. r's buffer must have
// maxHeader bytes.
func readHeader(r *bufio.Reader) (h header, err error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return h, fmt.Errorf("%w: the header %.60q has more than %d bytes", errForeign, line, maxHeader)
	case err != nil && len(line) > 0:
		return h, insideFrame(err)
	case err != nil:
		return h, err
	}
	if !isObject(line) || json.Unmarshal(line, &h) != nil || h.Kind == "" || h.Size < 1 {
		return header{}, fmt.Errorf("%w: the header is %.60q", errForeign, bytes.TrimSpace(line))
	}
	if most := limit(h.Kind); h.Size > most {
		return header{}, fmt.Errorf("a message %.60q of %d bytes is larger than the limit of %d bytes", h.Kind, h.Size, most)
	}
	return h, nil
}

// readBody reads the body that belongs to a header. It allocates memory for the bytes that arrive, not for the announced size.
func readBody(r *bufio.Reader, h header) ([]byte, error) {
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(h.Size)); err != nil {
		return nil, insideFrame(err)
	}
	return body.Bytes(), nil
}

// skipBody reads a body and drops it.
func skipBody(r *bufio.Reader, h header) error {
	_, err := io.CopyN(io.Discard, r, int64(h.Size))
	return insideFrame(err)
}

// insideFrame converts the error of a read inside a frame, because the end of the stream is unexpected there. The kernel resets
// a connection whose other end closed it with unread data.
func insideFrame(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeBody parses a whole body. An empty message must not mean that everything is gone, so null is an error.
func decodeBody(kind string, body []byte, message any) error {
	if !isObject(body) {
		return fmt.Errorf("the message %q is not a JSON object: %.60q", kind, body)
	}
	if err := json.Unmarshal(body, message); err != nil {
		return fmt.Errorf("the message %q is invalid: %w", kind, err)
	}
	return nil
}

// isObject reports whether a JSON text begins like an object.
func isObject(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) }

// writeFrame writes one message. It writes nothing if the message is too large.
func writeFrame(w io.Writer, kind string, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode the message %q: %w", kind, err)
	}
	if most := limit(kind); len(body) > most {
		return fmt.Errorf("the message %q has %d bytes, which is more than the limit of %d bytes", kind, len(body), most)
	}
	head, err := json.Marshal(header{kind, len(body)})
	if err != nil {
		return err
	}
	if _, err := w.Write(append(head, '\n')); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}
