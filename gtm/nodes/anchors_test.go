package nodes

import (
	"context"
	"testing"
	"time"
)

func TestAnyAnswers(t *testing.T) {
	open, closed := listen(t), listen(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	const nobody = "127.0.0.1:1"
	here, gone := open.Addr().String(), closed.Addr().String()
	for _, tc := range []struct {
		anchors []string
		want    bool
	}{{[]string{here}, true}, {[]string{gone, here, nobody}, true}, {[]string{gone, nobody}, false}, {nil, false}} {
		if got := anyAnswers(t.Context(), tc.anchors, 5*time.Second); got != tc.want {
			t.Errorf("%q: %v", tc.anchors, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if anyAnswers(ctx, []string{here}, time.Second) {
		t.Error("an answer after the end")
	}
}

func TestJitter(t *testing.T) {
	for range 1000 {
		if d := jitter(time.Second); d < 900*time.Millisecond || d > time.Second {
			t.Fatal(d)
		}
	}
}
