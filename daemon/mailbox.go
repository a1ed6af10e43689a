package main

// mailbox holds only the newest value. A busy reader finds it later, and no writer waits for a reader. It has one writer.
type mailbox[T any] chan T

func newMailbox[T any]() mailbox[T] { return make(mailbox[T], 1) }

func (m mailbox[T]) put(v T) {
	select {
	case <-m: // the previous value was not read, and is outdated
	default:
	}
	m <- v
}

// kicks is a signal without data. Several kicks while the reader is busy count as one.
type kicks chan struct{}

func newKicks() kicks { return make(kicks, 1) }

func (k kicks) kick() {
	select {
	case k <- struct{}{}:
	default:
	}
}
