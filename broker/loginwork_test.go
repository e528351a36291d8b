package broker

import (
	"strings"
	"testing"
	"time"
)

// TestWhatWaitsIsSmall: a login that waits takes little memory, however much its client has sent, and what was
// too long still is.
func TestWhatWaitsIsSmall(t *testing.T) {
	long := strings.Repeat("a", 64<<10)
	r := LoginRequest{User: long, Password: long, NewPassword: long, Ticket: long, Directory: long, ClientName: long}
	r.bound()
	if n := len(r.User) + len(r.Password) + len(r.NewPassword) + len(r.Ticket) + len(r.Directory) + len(r.ClientName); n > 8<<10 {
		t.Errorf("%d bytes wait", n)
	}
	if plausible(r.User, "p") || plausible("u", r.Password) || plausiblePassword(r.NewPassword) {
		t.Error("what was too long has become right")
	}
	if _, err := parseTicket(r.Ticket); err == nil {
		t.Error("the ticket has become one")
	}
	fits := LoginRequest{User: long[:maxUser], Password: long[:maxPassword], Ticket: long[:maxTicket]}
	same := fits
	if same.bound(); same != fits {
		t.Error("what fits was cut")
	}
}

// TestNamelessSuccess: who has only shown that he knows a password, which may have to be changed, makes up for
// his own failures and for nobody else's.
func TestNamelessSuccess(t *testing.T) {
	g := newGate(1, nil)
	g.setLimits(Limits{Failures: 3, SourceFailures: 4, UserFailures: 100, Block: time.Minute})
	enter := func(user string, who string, v verdict) []LimitKey {
		keys := g.keys(user, "192.0.2.7")
		if _, left, err := g.enter(t.Context(), keys); left > 0 || err != nil {
			t.Fatalf("%s is blocked for %s, %v", user, left, err)
		}
		return g.leave(keys, who, v)
	}
	enter("mallory", "", verdictFailed)
	for _, spelt := range []string{"mallory", "mall\u00f6ry", "ＭＡＬＬＯＲＹ"} {
		enter(spelt, "", verdictRight)        // a password that has to be changed
		enter(spelt, "mallory", verdictRight) // one user, however he is spelt
	}
	for i, user := range []string{"anna", "bob", "carol", "dave"} {
		blocked := enter(user, "", verdictFailed)
		if last := i == 3; (len(blocked) == 1 && blocked[0].Kind == LimitSource) != last { // 5 less one that signed in are 4
			t.Errorf("failure %d: %v", i+2, blocked)
		}
	}
}

// TestUnheardLongAgo: one question that was not answered yesterday must not cost the login that waits today its
// place.
func TestUnheardLongAgo(t *testing.T) {
	var o originals
	at := time.Now()
	for i := range 14 {
		if got := o.unheard(2, at.Add(time.Duration(i)*10*time.Second)); got != time.Duration(i)*10*time.Second {
			t.Fatalf("asked every 10 s, %d times: unheard for %s", i+1, got)
		}
	}
	if got := o.unheard(2, at.Add(24*time.Hour)); got != 0 {
		t.Errorf("unheard for %s", got)
	}
}
