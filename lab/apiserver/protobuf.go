package apiserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// protobufType is the content type of bodies in Kubernetes' protobuf, which clients choose by themselves. This server answers
// in JSON, and reads Events alone.
const protobufType = "application/vnd.kubernetes.protobuf"

// message holds the known fields of a protobuf message by their numbers. They are of runtime.Unknown and of Event, in
// k8s.io/apimachinery/pkg/runtime/generated.proto and k8s.io/api/core/v1/generated.proto.
type message map[int]field

// field describes a field: its name in JSON, and its own fields if it is a message.
type field struct {
	name  string
	parts message
	time  bool
}

var (
	timeFields  = message{1: {name: "seconds"}}
	eventFields = message{
		1: {name: "metadata", parts: message{1: {name: "name"}, 3: {name: "namespace"}}},
		2: {name: "involvedObject", parts: message{1: {name: "kind"}, 2: {name: "namespace"}, 3: {name: "name"}, 4: {name: "uid"}, 5: {name: "apiVersion"}}},
		3: {name: "reason"}, 4: {name: "message"}, 5: {name: "source", parts: message{1: {name: "component"}, 2: {name: "host"}}},
		6: {name: "firstTimestamp", parts: timeFields, time: true}, 7: {name: "lastTimestamp", parts: timeFields, time: true},
		8: {name: "count"}, 9: {name: "type"}, 12: {name: "action"}, 14: {name: "reportingComponent"}, 15: {name: "reportingInstance"},
	}
	unknownFields = message{2: {name: "raw"}}
)

var errProtobuf = errors.New("invalid protobuf")

// decodeEvent parses the body of a new Event.
func decodeEvent(body []byte) (object, error) {
	body, ok := bytes.CutPrefix(body, []byte("k8s\x00"))
	if !ok {
		return nil, errProtobuf
	}
	outer, err := decodeMessage(body, unknownFields)
	if err != nil {
		return nil, err
	}
	raw, _ := outer["raw"].(string)
	return decodeMessage([]byte(raw), eventFields)
}

// decodeMessage parses the known fields of a message. Bytes become strings, and numbers int64.
func decodeMessage(body []byte, known message) (object, error) {
	o := object{}
	for len(body) > 0 {
		tag, n := binary.Uvarint(body)
		if n <= 0 {
			return nil, errProtobuf
		}
		body = body[n:]
		value, n := binary.Uvarint(body)
		if n <= 0 {
			return nil, errProtobuf
		}
		body = body[n:]
		f, wanted := known[int(tag>>3)]
		switch tag & 7 {
		case 0: // a number
			if wanted {
				o[f.name] = int64(value)
			}
		case 2: // a string, bytes or a message
			if value > uint64(len(body)) {
				return nil, errProtobuf
			}
			if wanted {
				decoded, err := decodeField(body[:value], f)
				if err != nil {
					return nil, err
				}
				o[f.name] = decoded
			}
			body = body[value:]
		default:
			return nil, errProtobuf
		}
	}
	return o, nil
}

func decodeField(body []byte, f field) (any, error) {
	if f.parts == nil {
		return string(body), nil
	}
	o, err := decodeMessage(body, f.parts)
	if err != nil || !f.time {
		return o, err
	}
	seconds, _ := o["seconds"].(int64)
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}
