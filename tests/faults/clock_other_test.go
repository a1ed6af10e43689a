//go:build !amd64

package faults

// clockFaults are made by changing a processor's code.
var clockFaults []fault
