// Package cni carries the CNI configuration list that podlane ships.
package cni

import _ "embed" // for the list

// Conflist is the default CNI configuration list: podlane-cni, portmap for host ports, and podlane-gate.
//
//go:embed 10-podlane.conflist
var Conflist []byte
