package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// What stands where the configuration says nothing.
const (
	defaultNodeFile = "/run/podlane/subnet.env"
	bridge          = "bridge"
	hostLocal       = "host-local"
)

// object is a JSON object whose values are handed on as they were written.
type object map[string]json.RawMessage

// config is a configuration of ours, taken apart. Three parties give keys to the delegate; the first that has a key wins:
//
//  1. the configuration's own top level, where the runtime puts name, cniVersion, runtimeConfig, prevResult, args and
//     whatever a later version of the spec adds; all of it is handed on, but for type, nodeFile and delegate;
//  2. the object "delegate", where the user puts the delegate's own keys;
//  3. the node file (see translate).
type config struct {
	nodeFile string // path
	plugin   string // the delegate's type, which is its binary's name
	keys     object // of parties 1 and 2, without type and ipam
	ipamType string
	ipam     object // keys of "ipam", without type
}

// parse takes a configuration apart. Its errors are CNI errors that name the key.
func parse(data []byte) (config, error) {
	c := config{nodeFile: defaultNodeFile, plugin: bridge, keys: object{}, ipamType: hostLocal}
	var top, own object
	if err := json.Unmarshal(data, &top); err != nil {
		return c, types.NewError(types.ErrDecodingFailure, fmt.Sprintf("network configuration: %v", err), "")
	}
	if err := top.take("nodeFile", &c.nodeFile, "a path"); err != nil {
		return c, err
	}
	if err := top.take("delegate", &own, "an object"); err != nil {
		return c, err
	}
	delete(top, "type") // ours
	maps.Copy(c.keys, own)
	maps.Copy(c.keys, top)
	if err := c.keys.take("type", &c.plugin, "the name of a plugin"); err != nil {
		return c, err
	}
	if c.plugin == "" || strings.Contains(c.plugin, "/") {
		return c, invalid("delegate.type is %.60q, not the name of a plugin", c.plugin)
	}
	if err := c.keys.take("ipam", &c.ipam, "an object"); err != nil {
		return c, err
	}
	return c, c.ipam.take("type", &c.ipamType, "the name of a plugin")
}

// take moves the value of a key out of the object into v, which stays as it is where there is none.
func (o object) take(key string, v any, want string) error {
	raw, ok := o[key]
	if !ok {
		return nil
	}
	delete(o, key)
	if err := json.Unmarshal(raw, v); err != nil {
		return invalid("%q is %.60s, not %s", key, raw, want)
	}
	return nil
}

// over lays the object's keys over defaults and returns these.
func (o object) over(defaults map[string]any) map[string]any {
	for key, value := range o {
		defaults[key] = value
	}
	return defaults
}

func invalid(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}
