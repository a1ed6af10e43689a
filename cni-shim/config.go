package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// Defaults of the configuration.
const (
	defaultNodeFile = "/run/podlane/subnet.env"
	bridge          = "bridge"
	hostLocal       = "host-local"
)

// object is a JSON object. Its values are not parsed, so that they are written as they were read.
type object map[string]json.RawMessage

// config is our parsed configuration. The delegate's keys have three sources. The first source that has a key wins:
//
//  1. The top level of the configuration. The runtime writes name, cniVersion, runtimeConfig, prevResult, args and later
//     additions of the spec. All keys but type, nodeFile and delegate are used.
//  2. The object "delegate". The user writes the delegate's own keys.
//  3. The node file (see translate).
type config struct {
	nodeFile string // path
	plugin   string // the delegate's type, which is its binary's name
	keys     object // from sources 1 and 2, without type and ipam
	ipamType string
	ipam     object // keys of "ipam", without type
}

// parse parses a configuration. Its errors are CNI errors that name the key.
func parse(data []byte) (config, error) {
	c := config{nodeFile: defaultNodeFile, plugin: bridge, keys: object{}, ipamType: hostLocal}
	var top, own object
	if err := json.Unmarshal(data, &top); err != nil {
		return c, types.NewError(types.ErrDecodingFailure, fmt.Sprintf("network configuration: %v", err), "")
	}
	if err := top.pop("nodeFile", &c.nodeFile, "a path"); err != nil {
		return c, err
	}
	if err := top.pop("delegate", &own, "an object"); err != nil {
		return c, err
	}
	delete(top, "type") // ours
	maps.Copy(c.keys, own)
	maps.Copy(c.keys, top)
	if err := c.keys.pop("type", &c.plugin, "the name of a plugin"); err != nil {
		return c, err
	}
	if c.plugin == "" || strings.Contains(c.plugin, "/") {
		return c, invalid("delegate.type is %.60q, not the name of a plugin", c.plugin)
	}
	if err := c.keys.pop("ipam", &c.ipam, "an object"); err != nil {
		return c, err
	}
	return c, c.ipam.pop("type", &c.ipamType, "the name of a plugin")
}

// pop moves the value of a key from the object into v. If the key is absent, v does not change.
func (o object) pop(key string, v any, want string) error {
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

// withDefaults adds the object's keys to defaults, which they replace, and returns defaults.
func (o object) withDefaults(defaults map[string]any) map[string]any {
	for key, value := range o {
		defaults[key] = value
	}
	return defaults
}

func invalid(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}
