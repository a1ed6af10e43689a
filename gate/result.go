package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	cni "github.com/containernetworking/cni/pkg/version"
)

// previousResult returns the result of the plugins before this one. version is the CNI version that the result must have.
func previousResult(data []byte) (result *current.Result, version string, err error) {
	var conf types.NetConf
	if err := json.Unmarshal(data, &conf); err != nil {
		return nil, "", types.NewError(types.ErrDecodingFailure, fmt.Sprintf("network configuration: %v", err), "")
	}
	if conf.RawPrevResult == nil {
		return nil, "", invalidConfig("no prevResult: podlane-gate makes no interface; name it last in a list whose first plugin is podlane-cni")
	}
	if err := cni.ParsePrevResult(&conf); err != nil {
		return nil, "", types.NewError(types.ErrDecodingFailure, fmt.Sprintf("prevResult: %v", err), "")
	}
	if result, err = current.NewResultFromResult(conf.PrevResult); err != nil {
		return nil, "", types.NewError(types.ErrDecodingFailure, fmt.Sprintf("prevResult: %v", err), "")
	}
	return result, conf.CNIVersion, nil
}

// podInterfaces returns the names of the interfaces inside the pod that have an address. An interface without a sandbox is
// the node's. An address without an interface belongs to the one that the runtime named.
func podInterfaces(result *current.Result, ifName string) (names []string, err error) {
	for _, ip := range result.IPs {
		name := ifName
		if ip.Interface != nil {
			i := *ip.Interface
			if i < 0 || i >= len(result.Interfaces) {
				return nil, invalidConfig("prevResult: %s belongs to interface %d of %d", ip.Address.IP, i, len(result.Interfaces))
			}
			if result.Interfaces[i].Sandbox == "" {
				continue
			}
			name = result.Interfaces[i].Name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func invalidConfig(format string, args ...any) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf(format, args...), "")
}
