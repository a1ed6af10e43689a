//go:build !amd64

package faults

// clockFaults change the code of one process, which is done for amd64 only.
var clockFaults []fault
