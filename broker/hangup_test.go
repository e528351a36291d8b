package broker_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"switchpoint/broker"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// TestHangingUpIsNoFreeGuess: a client that goes while its password is at the directory has guessed all the
// same, or it could lock anybody's account there, and cut the connections to it, without end.
func TestHangingUpIsNoFreeGuess(t *testing.T) {
	covers.Req(t, "SE2")
	t.Parallel()
	ldap, d := slowDirectory(t)
	b := newCluster(t).start(1, nil)
	s := ukSetup(d)
	s.Limits = broker.Limits{Failures: 3}
	b.fill(t, s)
	b.mustLogin(t, "bob")
	ldap.slow(5)
	ldap.figures()
	for i := range 6 {
		ctx, hangUp := context.WithCancel(t.Context())
		answered := make(chan broker.LoginResult, 1)
		go func() { answered <- b.Login(ctx, from("192.0.2.66", "bob", "wrong")) }()
		eventually(t, "the password is at the directory, or it is refused", func() bool { return ldap.total(userBind) > i || len(answered) > 0 })
		hangUp()
		<-answered
		eventually(t, "the place is free", func() bool { return b.Alive().Active == 0 })
	}
	if n := ldap.total(userBind); n != 3 {
		t.Errorf("%d passwords reached the directory, 3 failures are allowed", n)
	}
	if n := ldap.total(serviceBind); n != 0 {
		t.Errorf("%d connections were made anew", n)
	}
	if res := b.Login(t.Context(), from("192.0.2.66", "bob", "bob-demo")); code(res.Refusal) != broker.CodeTooMany {
		t.Errorf("after 3 guesses: %+v", res)
	}
	b.mustLogin(t, "bob") // at his desk
}

// TestRightPasswordOfWhoHasGone: nobody knows of the session, so there is none.
func TestRightPasswordOfWhoHasGone(t *testing.T) {
	t.Parallel()
	ldap, d := slowDirectory(t)
	b := newCluster(t).start(1, nil)
	b.fill(t, ukSetup(d))
	b.mustLogin(t, "bob")
	ldap.slow(5)
	ldap.figures()
	ctx, hangUp := context.WithCancel(t.Context())
	answered := make(chan broker.LoginResult, 1)
	go func() { answered <- b.Login(ctx, login("bob", "bob-demo")) }()
	eventually(t, "the password is at the directory", func() bool { return ldap.total(userBind) == 1 })
	hangUp()
	ref := (<-answered).Refusal.Ref
	var row broker.LogRow
	eventually(t, "its log row is written", func() bool {
		var err error
		row, err = b.ExplainRef(t.Context(), ref)
		return err == nil
	})
	if row.Kind != broker.LogRefused || row.Code != broker.CodeAbandoned || row.Session != "" {
		t.Errorf("%+v", row)
	}
}

// TestGuessesWhileADirectoryIsDown: who was refused by a directory that answers has guessed, even if another
// one is silent that might have known better. It counts against the name alone, known or not.
func TestGuessesWhileADirectoryIsDown(t *testing.T) {
	covers.Req(t, "SE2")
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := corp(t, l.Addr().String())
	down.Name = "down"
	l.Close()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	s := ukSetup(corp(t, address), down)
	s.Limits = broker.Limits{Failures: 2, UserFailures: 5, SourceFailures: 3}
	b.fill(t, s)
	for _, user := range []string{"bob", "nobody"} {
		got := b.fails(t, 10, from("192.0.2.9", user, "wrong")) // two at once: the last may go beyond five by one
		if got[broker.CodeDirectoryUnavailable] > 6 || got[broker.CodeTooMany] < 4 {
			t.Errorf("10 guesses for %s: %v", user, got)
		}
	}
	only := newCluster(t).start(1, nil)
	s = ukSetup(down)
	s.Limits = broker.Limits{Failures: 2, UserFailures: 5, SourceFailures: 3}
	if _, err := only.Apply(t.Context(), s, false, "test"); err != nil {
		t.Fatal(err)
	}
	if got := only.fails(t, 8, from("192.0.2.9", "bob", "bob-demo")); got[broker.CodeDirectoryUnavailable] != 8 {
		t.Errorf("nobody has said no, and it counts: %v", got)
	}
}

// brokenStore is a store with a defect.
type brokenStore struct {
	*sqlite.Store
	broken atomic.Bool
}

func (s *brokenStore) Login(ctx context.Context, r broker.LoginRecord) (broker.LoginOutcome, error) {
	if s.broken.Load() {
		panic("password " + r.User) // whatever it says does not go into a log
	}
	return s.Store.Login(ctx, r)
}

// TestDefectInALogin: the one login that meets a defect is refused, and its place is free again.
func TestDefectInALogin(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	c := newCluster(t)
	store := &brokenStore{Store: c.store()}
	b := c.start(1, func(o *broker.Options) { o.Store, o.Config.Capacity = store, 1 })
	b.fill(t, ukSetup(corp(t, address)))
	store.broken.Store(true)
	res := b.Login(t.Context(), login("bob", "bob-demo"))
	if code(res.Refusal) != broker.CodeInternal {
		t.Fatalf("%+v", res)
	}
	if row, err := b.ExplainRef(t.Context(), res.Refusal.Ref); err != nil || row.Code != broker.CodeInternal || strings.Contains(strings.Join(row.Reason, "\n"), "password") {
		t.Errorf("log row: %+v, %v", row, err)
	}
	store.broken.Store(false)
	b.mustLogin(t, "bob")
}
