package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func small() Limits {
	return Limits{Failures: 3, Window: time.Minute, UserFailures: 6, SourceFailures: 5, SourceWindow: 10 * time.Second, Block: time.Minute, MaxBlock: 5 * time.Minute}
}

// at are the keys of a user at an address.
func at(user, address string) []LimitKey { return limitKeys(limitUser(user), address, nil) }

// failures fails n times at one moment and returns what is blocked by then.
func (l *limiter) failures(n int, keys []LimitKey, now time.Time) (blocked []LimitKey) {
	for range n {
		blocked = append(blocked, l.fail(keys, now, 1)...)
	}
	return blocked
}

func (l *limiter) free(t *testing.T, keys []LimitKey, now time.Time) {
	t.Helper()
	if k, left := l.blocked(keys, now); left != 0 {
		t.Errorf("%s is blocked for another %s", k, left)
	}
}

func TestLimitKeys(t *testing.T) {
	nat := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}
	for _, c := range []struct{ user, address, want string }{
		{"Anna", "192.0.2.7", "user anna at 192.0.2.7; user anna; address 192.0.2.7"},
		{`CORP\ANNA `, "::ffff:192.0.2.7", "user anna at 192.0.2.7; user anna; address 192.0.2.7"},
		{"anna@corp.example", "2001:db8:1:2:3::4%eth0", "user anna at 2001:db8:1:2::/64; user anna; address 2001:db8:1:2::/64"},
		{" an  na", "192.0.2.7", `user "an na" at 192.0.2.7; user "an na"; address 192.0.2.7`},
		{"Ro\u017fe \u212aay", "", `user "rose kay"`}, // the long s and the Kelvin sign are s and k to a directory
		{"anna", "203.0.113.4", "user anna"},          // behind a NAT the address says nothing
		{"anna", "", "user anna"},
		{"", "192.0.2.7", "address 192.0.2.7"},
		{"@", "", `user "@"`},
		{"", "203.0.113.4", ""},
	} {
		var got []string
		for _, k := range limitKeys(limitUser(c.user), c.address, nat) {
			got = append(got, k.String())
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%q at %q: %s, want %s", c.user, c.address, s, c.want)
		}
	}
}

// TestLimitPairFirst: the narrowest block comes first and hurts nobody else; it ends, and grows.
func TestLimitPairFirst(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	here := at("anna", "192.0.2.7")
	if got := l.failures(2, here, t0); got != nil {
		t.Fatalf("blocked after two failures: %v", got)
	}
	l.free(t, here, t0)
	if got := l.failures(1, here, t0); !slices.Equal(got, here[:1]) {
		t.Fatalf("after three: %v", got)
	}
	if k, left := l.blocked(here, t0); k != here[0] || left != time.Minute {
		t.Errorf("%s, %s", k, left)
	}
	l.free(t, at("anna", "192.0.2.8"), t0)
	l.free(t, at("bert", "192.0.2.7"), t0)
	if got := l.failures(1, here, t0.Add(time.Second)); got != nil {
		t.Errorf("what was under way made %v", got)
	}
	now := t0
	for _, want := range []float64{2, 4, 5, 5} { // twice as long each time, up to the longest
		now = now.Add(6 * time.Minute)
		l.free(t, here, now)
		l.failures(3, here, now)
		if _, left := l.blocked(here, now); left.Minutes() != want {
			t.Errorf("blocked for %s, want %.0f minutes", left, want)
		}
	}
	now = now.Add(blockMemory + 5*time.Minute)
	l.sweep(now)
	l.failures(3, here, now)
	if _, left := l.blocked(here, now); left != time.Minute {
		t.Errorf("after a day without, blocked for %s", left)
	}
}

// TestLimitWindow: failures far enough apart block nobody, and none leaves its window early.
func TestLimitWindow(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	here := at("anna", "192.0.2.7")
	for i := range 50 {
		if got := l.fail(here, t0.Add(time.Duration(i)*37*time.Second), 1); got != nil {
			t.Fatalf("failure %d blocks %v", i, got)
		}
	}
	for off := range 120 { // wherever in a slot the first falls
		l := newLimiter(small(), 1, t0)
		first := t0.Add(time.Duration(off) * time.Second / 2)
		l.failures(2, here, first)
		if l.fail(here, first.Add(time.Minute-time.Millisecond), 1) == nil {
			t.Fatalf("two failures have left their window early, from %s on", first)
		}
	}
}

func TestLimitSuccess(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	here := at("anna", "192.0.2.7")
	for range 5 { // whoever types wrong twice and then right is never blocked
		if got := l.failures(2, here, t0); slices.ContainsFunc(got, func(k LimitKey) bool { return k.Kind == LimitPair }) {
			t.Fatalf("blocked: %v", got)
		}
		l.succeed(here, "anna", t0)
	}
}

// TestLimitSource: many users from one address. Those who sign in count against those who fail, each once.
func TestLimitSource(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	source := at("x", "192.0.2.7")[2]
	for i := range 8 {
		user := fmt.Sprint("good", i)
		l.succeed(at(user, "192.0.2.7"), user, t0)
	}
	for i := range 12 {
		if got := l.fail(at(fmt.Sprint("bad", i), "192.0.2.7"), t0, 1); got != nil {
			t.Fatalf("failure %d against 8 successes blocks %v", i, got)
		}
	}
	if got := l.fail(at("bad", "192.0.2.7"), t0, 1); !slices.Equal(got, []LimitKey{source}) {
		t.Errorf("13 failures against 8 successes block %v", got)
	}
	if _, left := l.blocked(at("anybody", "192.0.2.7"), t0); left == 0 {
		t.Error("the address is not blocked")
	}
	l.free(t, at("anybody", "192.0.2.8"), t0)

	l = newLimiter(small(), 1, t0) // one account does not pay for failures again and again
	blocked := false
	for i := range 20 {
		l.succeed(at("mallory", "192.0.2.7"), "mallory", t0)
		blocked = blocked || l.fail(at(fmt.Sprint("victim", i), "192.0.2.7"), t0, 1) != nil
	}
	if !blocked {
		t.Error("one account buys any number of failures")
	}
}

// TestLimitUser: guessing from everywhere ends, and does not lock the user out of his own desk.
func TestLimitUser(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	desk, elsewhere := at("anna", "192.0.2.7"), at("anna", "198.51.100.200")
	l.succeed(desk, "anna", t0)
	for i := range 6 {
		l.fail(at("anna", fmt.Sprintf("198.51.100.%d", i)), t0, 1)
	}
	if k, left := l.blocked(elsewhere, t0); k.Kind != LimitUser || left == 0 {
		t.Errorf("from elsewhere: %s, %s", k, left)
	}
	l.free(t, desk, t0)
	l.free(t, at("bert", "198.51.100.1"), t0)
	l.failures(3, desk, t0) // there, too, who guesses is blocked
	if k, left := l.blocked(desk, t0); k.Kind != LimitPair || left == 0 {
		t.Errorf("at the desk: %s, %s", k, left)
	}
	other := newLimiter(small(), 2, t0) // which has not seen him, but is told
	b, blocks := l.batch(l.speak("1", t0), t0)
	other.hear(b.Counts, t0)
	for _, k := range blocks {
		if k.Kind == LimitUser {
			k.Except = []string{"192.0.2.7"}
			other.take(k, t0)
		}
	}
	if _, left := other.blocked(elsewhere, t0); left == 0 {
		t.Error("the other broker does not block")
	}
	other.free(t, desk, t0)
	behindNAT := limitKeys("anna", "", nil)
	if _, left := l.blocked(behindNAT, t0); left == 0 {
		t.Error("who has no address of his own is not blocked")
	}
}

// TestLimitAlone: brokers that do not hear of each other share the limits out.
func TestLimitAlone(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	here := at("anna", "192.0.2.7")
	if got := l.fail(here, t0, 3); !slices.Equal(got, here[:1]) {
		t.Errorf("a third of three is one: %v", got)
	}
	if n := l.remaining(at("bert", "192.0.2.7")[0], t0, 2); n != 2 {
		t.Errorf("half of three leaves %d", n)
	}
}

// told brings what one limiter has to say to the other.
func (l *limiter) told(other *limiter, now time.Time) {
	if s := l.speak("", now); s != nil {
		b, blocks := l.batch(s, now)
		other.hear(b.Counts, now)
		for _, k := range blocks {
			other.take(k, now)
		}
	}
}

func TestLimitShared(t *testing.T) {
	a, b := newLimiter(small(), 1, t0), newLimiter(small(), 2, t0.Add(-time.Hour))
	here := at("anna", "192.0.2.7")
	a.failures(2, here, t0)
	a.told(b, t0.Add(time.Second))
	if a.speak("", t0.Add(time.Second)) != nil {
		t.Error("said twice")
	}
	if got := b.fail(here, t0.Add(2*time.Second), 1); !slices.Equal(got, here[:1]) {
		t.Fatalf("two failures there and one here: %v", got)
	}
	b.told(a, t0.Add(2*time.Second))
	if _, left := a.blocked(here, t0.Add(2*time.Second)); left != time.Minute {
		t.Errorf("at the first broker it holds for %s", left)
	}
	// A success takes back what the others were told.
	a, b = newLimiter(small(), 1, t0), newLimiter(small(), 2, t0)
	a.failures(2, here, t0)
	a.told(b, t0)
	a.succeed(here, "anna", t0)
	a.told(b, t0)
	if got := b.failures(2, here, t0); got != nil {
		t.Errorf("failures before a success count: %v", got)
	}
	// Successes of one broker weigh against the failures of the other.
	a, b = newLimiter(small(), 1, t0), newLimiter(small(), 2, t0)
	for i := range 10 {
		user := fmt.Sprint("good", i)
		b.succeed(at(user, "192.0.2.7"), user, t0)
	}
	if b.speak("", t0) != nil {
		t.Error("successes alone are nobody's business")
	}
	for i := range 4 {
		a.fail(at(fmt.Sprint("bad", i), "192.0.2.7"), t0, 1)
	}
	a.told(b, t0)
	b.told(a, t0)
	for i := range 10 {
		if got := a.fail(at(fmt.Sprint("worse", i), "192.0.2.7"), t0, 1); got != nil {
			t.Fatalf("failure %d: %v", i, got)
		}
	}
}

// TestLimitTaken: what the store says of a block, and in which order.
func TestLimitTaken(t *testing.T) {
	here := at("anna", "192.0.2.7")
	l := newLimiter(small(), 1, t0)
	l.failures(3, here, t0)
	lifted := LimitBlock{LimitKey: here[0], SiteID: 1, Version: 2}
	l.take(LimitBlock{LimitKey: here[0], SiteID: 2, Changed: time.Second}, t0) // lifted before it was made here
	if _, left := l.blocked(here, t0); left == 0 {
		t.Error("an older word has ended a block")
	}
	l.take(lifted, t0.Add(time.Second))
	l.free(t, here, t0.Add(time.Second))
	if s := l.speak("", t0.Add(time.Second)); s != nil {
		if _, blocks := l.batch(s, t0.Add(time.Second)); len(blocks) != 0 {
			t.Errorf("a lifted block is told: %v", blocks)
		}
	}
	if got := l.failures(2, here, t0.Add(time.Second)); slices.Contains(got, here[0]) {
		t.Errorf("old failures count after the lift: %v", got)
	}
	fresh := newLimiter(small(), 1, t0) // a broker that has just started
	fresh.take(LimitBlock{LimitKey: here[0], Level: 2, SiteID: 2, Age: time.Hour, Left: -time.Minute, Version: 1}, t0)
	fresh.free(t, here, t0)
	fresh.failures(3, here, t0)
	if _, left := fresh.blocked(here, t0); left != 4*time.Minute {
		t.Errorf("the third block lasts %s", left)
	}
}

func TestLimitMemory(t *testing.T) {
	l := newLimiter(small(), 1, t0)
	for i := range maxTallies {
		l.fail([]LimitKey{{Kind: LimitUser, User: fmt.Sprint(i)}}, t0, 1)
	}
	victim := at("anna", "192.0.2.7")
	l.failures(2, victim, t0)
	for i := range 1000 {
		l.fail([]LimitKey{{Kind: LimitUser, User: fmt.Sprint("more", i)}}, t0, 1)
	}
	if len(l.tallies) > maxTallies || len(l.dirty) > maxTallies {
		t.Errorf("%d tallies, %d to tell", len(l.tallies), len(l.dirty))
	}
	if s := l.speak("", t0); len(s.counts) > maxSpoken+limitSlots {
		t.Errorf("%d counts at once", len(s.counts))
	}
	l.sweep(t0.Add(time.Hour))
	if len(l.tallies)+len(l.dirty) != 0 {
		t.Errorf("%d tallies are left after their time", len(l.tallies))
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := (Setup{}).Validate(nil, "uk"); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for want, l := range map[string]Limits{
		"limits.failures":      {Failures: -1},
		"limits.user_failures": {Failures: 20, UserFailures: 5},
		"limits.window":        {Window: 2 * time.Hour},
		"limits.source_window": {SourceWindow: time.Millisecond},
		"limits.block":         {Block: 48 * time.Hour},
		"limits.max_block":     {MaxBlock: time.Second},
	} {
		if err := (Setup{Limits: l}).Validate(nil, "uk"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestLimitProperty plays sign-ins at two brokers that hear of each other now and then: a block that is
// known never ends before its time, and within a window no broker lets through more failures of a user from
// one address than the limit.
func TestLimitProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		brokers := []*limiter{newLimiter(small(), 1, t0), newLimiter(small(), 2, t0)}
		now := t0
		held := make([]map[LimitKey]time.Time, 2)
		for i := range held {
			held[i] = make(map[LimitKey]time.Time)
		}
		remember := func(i int) {
			for k, b := range brokers[i].blocks {
				until := now.Add(b.until - brokers[i].elapsed(now))
				if until.After(held[i][k]) {
					held[i][k] = until
				}
			}
		}
		type guess struct {
			broker int
			key    LimitKey
		}
		guesses := make(map[guess][]time.Time) // since the last success there
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "broker")
			l := brokers[i]
			keys := at(rapid.SampledFrom([]string{"anna", "bert", "carl"}).Draw(t, "user"), rapid.SampledFrom([]string{"192.0.2.7", "192.0.2.8"}).Draw(t, "address"))
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.SampledFrom([]string{"fail", "fail", "fail", "right", "exchange", "sweep"}).Draw(t, "what") {
			case "fail":
				if _, left := l.blocked(keys, now); left > 0 {
					break
				}
				g := guess{i, keys[0]}
				guesses[g] = append(guesses[g], now)
				if within := len(slices.DeleteFunc(slices.Clone(guesses[g]), func(at time.Time) bool { return now.Sub(at) >= time.Minute })); within > 3 {
					t.Fatalf("%d failures of %s within a minute", within, keys[0])
				}
				l.fail(keys, now, 1)
			case "right":
				if _, left := l.blocked(keys, now); left == 0 {
					l.succeed(keys, keys[0].User, now)
					delete(guesses, guess{i, keys[0]})
				}
			case "exchange":
				brokers[0].told(brokers[1], now)
				brokers[1].told(brokers[0], now)
			case "sweep":
				l.sweep(now)
			}
			for i := range brokers {
				for k, b := range brokers[i].blocks {
					if b.until > brokers[i].elapsed(now) { // after it he starts anew
						delete(guesses, guess{i, k})
					}
				}
				for k, until := range held[i] {
					if now.Before(until) {
						if b := brokers[i].blocks[k]; b == nil || b.until <= brokers[i].elapsed(now) {
							t.Fatalf("the block of %s ends %s early at broker %d", k, until.Sub(now), i+1)
						}
					}
				}
				remember(i)
			}
		}
	})
}
