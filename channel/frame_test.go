package channel

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/podlane/podlane/subnet/store"
)

// someLeases is a set whose message has a few hundred bytes.
func someLeases(revision int64) Leases {
	return Leases{
		Revision: revision, Config: []byte(`{"Network":"10.5.0.0/16"}`), Own: Own{Exists: true, PodCIDRs: []string{"10.5.1.0/24"}},
		Leases: []store.SavedLease{
			{Key: "10.5.1.0-24", Value: []byte(`{"PublicIP":"192.0.2.1"}`), Created: 7},
			{Key: "10.5.2.0-24", Value: []byte(`{"PublicIP":"192.0.2.2"}`), Created: 8},
		},
	}
}

func frame(t testing.TB, kind string, message any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeFrame(&b, kind, message); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readFrames reads frames until an error, and returns the bodies that it has read whole.
func readFrames(stream []byte) (kinds []string, bodies [][]byte, err error) {
	r := bufio.NewReaderSize(bytes.NewReader(stream), maxHeader)
	for {
		h, err := readHeader(r)
		if err != nil {
			return kinds, bodies, err
		}
		body, err := readBody(r, h)
		if err != nil {
			return kinds, bodies, err
		}
		kinds, bodies = append(kinds, h.Kind), append(bodies, body)
	}
}

func TestFramesArriveWhole(t *testing.T) {
	stream := append(frame(t, kindLeases, someLeases(3)), frame(t, kindSource, Source{Fault: "away"})...)
	kinds, bodies, err := readFrames(stream)
	if !errors.Is(err, io.EOF) || strings.Join(kinds, " ") != "leases source" {
		t.Fatalf("%q, %v", kinds, err)
	}
	var leases Leases
	if err := decodeBody(kindLeases, bodies[0], &leases); err != nil || len(leases.Leases) != 2 || leases.check() != nil {
		t.Errorf("%+v, %v", leases, err)
	}
}

func TestFrameCutAtEveryByte(t *testing.T) {
	stream := frame(t, kindLeases, someLeases(3))
	for i := range stream {
		kinds, _, err := readFrames(stream[:i])
		if want := io.ErrUnexpectedEOF; i > 0 && !errors.Is(err, want) || i == 0 && !errors.Is(err, io.EOF) || len(kinds) != 0 {
			t.Fatalf("cut after %d of %d bytes: %q, %v", i, len(stream), kinds, err)
		}
	}
}

func TestRejectedFrames(t *testing.T) {
	for name, row := range map[string]struct{ stream, want string }{
		"an HTTP client":         {"GET /status HTTP/1.1\r\nHost: podlaned\r\n\r\n", "not podlane's channel protocol"},
		"a TLS client":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "not podlane's channel protocol"},
		"no line at all":         {strings.Repeat("x", maxHeader+1), "more than 4096 bytes"},
		"a long header":          {`{"kind":"` + strings.Repeat("x", maxHeader) + `","size":1}` + "\n", "more than 4096 bytes"},
		"a header without kind":  {`{"size":1}` + "\n{", "not podlane's channel protocol"},
		"a header without size":  {`{"kind":"leases"}` + "\n{", "not podlane's channel protocol"},
		"a negative size":        {`{"kind":"leases","size":-1}` + "\n{", "not podlane's channel protocol"},
		"a size that overflows":  {`{"kind":"leases","size":99999999999999999999}` + "\n{", "not podlane's channel protocol"},
		"a header that is null":  {"null\n", "not podlane's channel protocol"},
		"too large a set":        {`{"kind":"leases","size":67108865}` + "\n{", "larger than the limit of 67108864 bytes"},
		"too large a source":     {`{"kind":"source","size":65537}` + "\n{", "larger than the limit of 65536 bytes"},
		"too large and unknown":  {`{"kind":"policies","size":67108865}` + "\n{", "larger than the limit of 67108864 bytes"},
		"the end in the header":  {`{"kind":"lea`, "unexpected EOF"},
		"the end after a header": {`{"kind":"source","size":2}` + "\n", "unexpected EOF"},
	} {
		kinds, _, err := readFrames([]byte(row.stream))
		if err == nil || !strings.Contains(err.Error(), row.want) || len(kinds) != 0 {
			t.Errorf("%s: %q, %v; want an error with %q", name, kinds, err, row.want)
		}
	}
}

func TestRejectedBodies(t *testing.T) {
	for name, body := range map[string]string{
		"null": "null", "a list": "[]", "empty": " ", "cut": `{"revision":3,"leases":[{"key":"10.5.1.0-24"`,
		"two": `{"revision":3}{"revision":4}`, "garbage at the end": `{"revision":3}x`, "another type": `{"revision":"3"}`,
	} {
		if err := decodeBody(kindLeases, []byte(body), &Leases{}); err == nil || !strings.Contains(err.Error(), `the message "leases"`) {
			t.Errorf("%s: %v, want an error that names the message", name, err)
		}
	}
	for name, l := range map[string]Leases{
		"no revision":         {},
		"a negative number":   {Revision: 3, Losses: -1},
		"a lease with no key": {Revision: 3, Leases: []store.SavedLease{{}}},
		"many skipped Nodes":  {Revision: 3, Skipped: manySkips()},
	} {
		if l.check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// A header that announces 64 MiB must not cost 64 MiB before they arrive.
func TestAnnouncedSizeCostsNoMemory(t *testing.T) {
	stream := []byte(`{"kind":"leases","size":67108864}` + "\n" + `{"revision":3`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := readFrames(stream)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes allocated for a message of which 13 bytes arrived", used)
	}
}

func TestLargestMessages(t *testing.T) {
	fill := func(n int) Source { return Source{Fault: strings.Repeat("x", n-len(`{"fault":""}`))} }
	if _, bodies, err := readFrames(frame(t, kindSource, fill(maxOther))); !errors.Is(err, io.EOF) || len(bodies) != 1 {
		t.Errorf("the largest message: %d read, %v", len(bodies), err)
	}
	var b bytes.Buffer
	if err := writeFrame(&b, kindSource, fill(maxOther+1)); err == nil || b.Len() > 0 {
		t.Errorf("a larger message: %v, %d bytes written", err, b.Len())
	}
	leases := someLeases(1)
	leases.Fault = strings.Repeat("x", maxSet)
	if err := writeFrame(&b, kindLeases, leases); err == nil || b.Len() > 0 {
		t.Errorf("a larger set: %v, %d bytes written", err, b.Len())
	}
}

// Whatever arrives, the reader returns only bodies that arrived whole, in order, within their limits.
func FuzzFrameReader(f *testing.F) {
	valid := append(frame(f, kindLeases, someLeases(3)), frame(f, kindSource, Source{})...)
	f.Add(valid)
	f.Add(valid[:len(valid)/2])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte(`{"kind":"leases","size":67108864}` + "\n{}"))
	f.Add([]byte(`{"kind":"other","size":2}` + "\n{}" + `{"kind":"alive","size":2}` + "\n{}"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		kinds, bodies, err := readFrames(stream)
		if err == nil {
			t.Fatal("no error at the end")
		}
		rest := stream
		for i, body := range bodies {
			end := bytes.IndexByte(rest, '\n') + 1
			if end < 2 || end > maxHeader || len(body) < 1 || len(body) > limit(kinds[i]) || !bytes.HasPrefix(rest[end:], body) {
				t.Fatalf("frame %d: kind %q, body %q of %q", i, kinds[i], body, rest)
			}
			rest = rest[end+len(body):]
			if kinds[i] == kindLeases {
				var l Leases
				if decodeBody(kindLeases, body, &l) == nil && l.check() == nil && l.Revision < 1 {
					t.Fatalf("a set without a revision is accepted: %q", body)
				}
			}
		}
	})
}
