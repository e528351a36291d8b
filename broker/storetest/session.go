package storetest

import (
	"errors"
	"testing"
	"time"

	"switchpoint/broker"
)

// testSessionIdle: a session that is used lives on, within its life; one that is not used ends; and
// both cost few writes.
func testSessionIdle(t *testing.T, b *bench) {
	b.fill(setup())
	start := func(life, idle time.Duration) (broker.NewSession, broker.Session) {
		r := b.record("anna")
		r.NewSession.Life, r.NewSession.Idle = life, idle
		out := must(b.Login(ctx(t), r))(t)
		if out.Session == nil || out.Session.Idle != idle || out.Session.Expires.Sub(out.Session.Created) != r.NewSession.FirstExpiry() {
			t.Fatalf("a session of %s, idle for %s: %+v", life, idle, out.Session)
		}
		return *r.NewSession, *out.Session
	}
	find := func(n broker.NewSession) broker.Session { return must(b.Session(ctx(t), n.TokenHash))(t) }
	touch := func(n broker.NewSession, every time.Duration) {
		if err := b.TouchSession(ctx(t), n.ID, every); err != nil {
			t.Fatal(err)
		}
	}

	n, s := start(time.Hour, time.Minute)
	touch(n, 30*time.Second)
	if got := find(n); !got.Expires.Equal(s.Expires) {
		t.Errorf("touched within 30 s, and %s became %s", s.Expires, got.Expires)
	}
	for deadline := time.Now().Add(20 * time.Second); find(n).Expires.Equal(s.Expires); {
		touch(n, time.Millisecond)
		if time.Now().After(deadline) {
			t.Fatal("a session in use is not prolonged")
		}
	}
	if got := find(n); !got.Expires.After(s.Expires) || got.Expires.After(s.Created.Add(5*time.Minute)) {
		t.Errorf("%s became %s", s.Expires, got.Expires)
	}

	// Within its life: this one is near its end already.
	n, s = start(time.Minute+time.Millisecond, time.Minute)
	for end := s.Created.Add(time.Minute + time.Millisecond); !find(n).Expires.Equal(end); {
		touch(n, 0)
		if find(n).Expires.After(end) {
			t.Fatal("a session outlives its life")
		}
	}

	// Without a bound on idleness nothing moves.
	n, s = start(time.Hour, 0)
	touch(n, 0)
	if got := find(n); !got.Expires.Equal(s.Expires) || got.Idle != 0 {
		t.Errorf("%+v became %+v", s, got)
	}

	// One that has ended is not brought back, and an unknown one is no error.
	n, _ = start(time.Hour, time.Millisecond)
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := b.Session(ctx(t), n.TokenHash)
		if errors.Is(err, broker.ErrNotFound) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("an idle session does not end: %v", err)
		}
	}
	touch(n, 0)
	if _, err := b.Session(ctx(t), n.TokenHash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a session that has expired is back: %v", err)
	}
	if err := b.TouchSession(ctx(t), id(), 0); err != nil {
		t.Error(err)
	}
}
