package kernel

import "errors"

// maxReads bounds how often RetryRead reads. After that, the kernel's tables change faster than they can be read.
const maxReads = 20

// RetryRead repeats a read while it fails with the error interrupted, at most 20 times in all. The error means that the kernel's
// tables changed during the read, so the result may be incomplete. RetryRead returns the error of the last read.
func RetryRead(interrupted error, read func() error) (err error) {
	for range maxReads {
		if err = read(); !errors.Is(err, interrupted) {
			return err
		}
	}
	return err
}
