package pause

import (
	"context"
	"testing"
	"time"
)

func TestPauseEndsWithItsContext(t *testing.T) {
	if !For(t.Context(), -time.Second) {
		t.Error("a context that is alive: got false")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if For(ctx, time.Hour) {
		t.Error("a context that has ended: got true")
	}
}
