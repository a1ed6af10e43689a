package subnet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// decode reads a JSON object into v. at is the key that holds the object, or empty. Errors are short for any input, and use
// JSON's words, not Go's.
func decode(at string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	key := cmp.Or(strings.Trim(at+"."+wrong.Field, "."), "it")
	return fmt.Errorf("%s is %s %.40s: want %s", key, article(wrong.Value), wrong.Value, wanted[wrong.Type.Kind()])
}

// wanted describes the kinds of values in the configuration and in leases, for errors.
var wanted = map[reflect.Kind]string{
	reflect.String: "a string",
	reflect.Bool:   "true or false",
	reflect.Int:    "a whole number of at most 63 bits",
	reflect.Struct: "an object",
}

func article(noun string) string {
	if noun == "array" || noun == "object" {
		return "an"
	}
	return "a"
}

// encode returns the JSON of a value.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers: it cannot fail
	}
	return b
}
