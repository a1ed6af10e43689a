package kernel

import "errors"

// maxReads bounds how often a read is repeated that changes interrupt. After that they come faster than they can be read.
const maxReads = 20

// RetryRead repeats a read while it fails with the error interrupted: the kernel's tables changed in between, and what was
// read may be incomplete.
func RetryRead(interrupted error, read func() error) (err error) {
	for range maxReads {
		if err = read(); !errors.Is(err, interrupted) {
			return err
		}
	}
	return err
}
