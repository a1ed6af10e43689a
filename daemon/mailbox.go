package main

// mailbox holds the newest value only: a reader that is busy finds what counts when it comes back, and no writer waits
// for it. It has one writer.
type mailbox[T any] chan T

func newMailbox[T any]() mailbox[T] { return make(mailbox[T], 1) }

func (m mailbox[T]) put(v T) {
	select {
	case <-m: // the value before this one was not yet read, and is old now
	default:
	}
	m <- v
}

// kicks is a signal without data: any number of kicks while the reader is busy are one.
type kicks chan struct{}

func newKicks() kicks { return make(kicks, 1) }

func (k kicks) kick() {
	select {
	case k <- struct{}{}:
	default:
	}
}
