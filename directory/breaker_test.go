package directory

import (
	"errors"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	const trial = 3 * time.Second
	dead := errors.New("dead")
	now := time.Unix(1000, 0)
	b := newBreaker(trial)
	if !b.allow(now) || b.blocks(now) {
		t.Fatal("a server that was never asked is refused")
	}
	if !b.fail(now, dead, false) || !b.blocks(now) || b.allow(now) {
		t.Fatal("one failure does not open it")
	}
	if b.fail(now, dead, false) {
		t.Fatal("it opened twice")
	}
	now = now.Add(minBackoff*6/5 + 1)
	if b.blocks(now) || !b.allow(now) {
		t.Fatal("no trial after the back-off, which a late failure must not have prolonged")
	}
	if b.allow(now.Add(trial - 1)) {
		t.Fatal("a second trial beside the first")
	}
	b.fail(now, dead, false)
	if b.allow(now.Add(minBackoff*2*4/5 - 1)) {
		t.Fatal("the back-off does not grow")
	}
	if !b.succeed() || !b.allow(now) {
		t.Fatal("an answer does not close it")
	}
	if b.succeed() {
		t.Fatal("it closed twice")
	}
	if open, err := b.state(); open || err != nil {
		t.Fatalf("state is %v, %v", open, err)
	}
}

func TestBreakerPatience(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBreaker(time.Second)
	for i := 1; i < patience; i++ {
		if b.fail(now, errors.New("slow"), true) || !b.allow(now) {
			t.Fatalf("it opened after %d failures", i)
		}
	}
	if !b.fail(now, errors.New("slow"), true) {
		t.Fatal("patience has no end")
	}
}

func TestBackoffIsBounded(t *testing.T) {
	for i := range 100 {
		if d := backoff(i); d < minBackoff*4/5 || d > maxBackoff*6/5 {
			t.Errorf("backoff(%d) = %s", i, d)
		}
	}
}
