package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// lucySetup has one local user.
func lucySetup(t *testing.T, l broker.Limits) broker.Setup {
	t.Helper()
	hash, err := broker.HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	s := ukSetup()
	s.Assignments = nil
	s.Users = []broker.LocalUser{{Name: "lucy", Password: hash}, {Name: "luke", Password: hash}}
	s.Limits = l
	return s
}

// from is a sign-in from an address.
func from(address, user, password string) broker.LoginRequest {
	return broker.LoginRequest{User: user, Password: password, ClientAddr: address}
}

// fails signs in in vain, n times at once, and counts how that was refused.
func (r *running) fails(t *testing.T, n int, req broker.LoginRequest) map[string]int {
	t.Helper()
	var mu sync.Mutex
	codes := make(map[string]int)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			res := r.Login(t.Context(), req)
			mu.Lock()
			defer mu.Unlock()
			codes[code(res.Refusal)]++
		})
	}
	wg.Wait()
	return codes
}

// TestTooManyFailures: what is blocked is refused alike, whoever it is and whatever the password, after the
// same time, without asking a directory; and nobody else is.
func TestTooManyFailures(t *testing.T) {
	covers.Req(t, "SE2")
	t.Parallel()
	address, stop := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, func(o *broker.Options) { o.Config.LimitsExempt = []string{"203.0.113.0/28"} })
	s := ukSetup(corp(t, address))
	s.Limits = broker.Limits{Failures: 4}
	b.fill(t, s)
	for _, user := range []string{"bob", "nobody"} { // guessing in parallel brings not one guess more
		if got := b.fails(t, 20, from("192.0.2.9", user, "wrong")); got[broker.CodeSignInFailed] != 4 || got[broker.CodeTooMany] != 16 {
			t.Errorf("20 failures of %s at once: %v", user, got)
		}
	}
	stop() // from now on the directory says nothing to anybody
	var refs []string
	for _, req := range []broker.LoginRequest{from("192.0.2.9", "bob", "bob-demo"), from("192.0.2.9", "bob", "wrong"), from("192.0.2.9", `CORP\BOB`, "x"), from("192.0.2.9", "nobody", "x")} {
		start := time.Now()
		res := b.Login(t.Context(), req)
		took := time.Since(start)
		if r := res.Refusal; r == nil || r.Code != broker.CodeTooMany || r.Text != "There were too many failed sign-ins. Please try again later." || r.RetryAfter < 14*time.Minute {
			t.Fatalf("%s with %q: %+v", req.User, req.Password, res)
		}
		if took < 300*time.Millisecond {
			t.Errorf("%s was answered after %s", req.User, took)
		}
		refs = append(refs, res.Refusal.Ref)
	}
	for _, ref := range refs {
		if row, err := b.ExplainRef(t.Context(), ref); err != nil || row.Code != broker.CodeTooMany || len(row.Reason) != 1 || !strings.Contains(row.Reason[0], "at 192.0.2.9, for another") {
			t.Errorf("log row %+v, %v", row, err)
		}
	}
	for _, req := range []broker.LoginRequest{from("192.0.2.10", "bob", "bob-demo"), from("192.0.2.9", "carol", "carol-demo")} {
		if res := b.Login(t.Context(), req); code(res.Refusal) != broker.CodeDirectoryUnavailable {
			t.Errorf("%s at %s: %+v", req.User, req.ClientAddr, res)
		}
	}
	if got := b.fails(t, 8, from("203.0.113.4", "carol", "")); got[broker.CodeSignInFailed] != 8 {
		t.Errorf("empty passwords behind a NAT: %v", got)
	}
}

// TestExemptAddress: at an address of many, its failures block neither it nor the user there; the user
// everywhere, after many more.
func TestExemptAddress(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Config.LimitsExempt, o.Config.TrustedProxies = []string{"203.0.113.0/28"}, []string{"198.51.100.1"}
	})
	b.fill(t, lucySetup(t, broker.Limits{Failures: 2, SourceFailures: 3, UserFailures: 8}))
	if res := b.Login(t.Context(), from("192.0.2.20", "lucy", "right")); res.Token == "" {
		t.Fatalf("%+v", res)
	}
	for _, address := range []string{"203.0.113.4", "198.51.100.1"} {
		if got := b.fails(t, 4, from(address, "lucy", "wrong")); got[broker.CodeSignInFailed] != 4 {
			t.Errorf("%s: %v", address, got)
		}
		if res := b.Login(t.Context(), from(address, "luke", "right")); res.Token == "" {
			t.Errorf("a neighbour at %s: %+v", address, res)
		}
	}
	for _, address := range []string{"203.0.113.4", "192.0.2.21"} {
		if res := b.Login(t.Context(), from(address, "lucy", "right")); code(res.Refusal) != broker.CodeTooMany {
			t.Errorf("8 failures, and at %s: %+v", address, res)
		}
	}
	if res := b.Login(t.Context(), from("192.0.2.20", "lucy", "right")); res.Token == "" {
		t.Errorf("at the desk: %+v", res)
	}
}

// TestBlocksInAnOutage: while the brokers do not hear of each other, known blocks stay, and each broker has
// its share of the limits only (SE2).
func TestBlocksInAnOutage(t *testing.T) {
	covers.Req(t, "SE2")
	t.Parallel()
	c := newCluster(t)
	cut := &deafStore{Store: c.store()}
	one := c.start(1, func(o *broker.Options) { o.Store = cut })
	two := c.start(2, nil)
	one.fill(t, lucySetup(t, broker.Limits{Failures: 6, Block: 30 * time.Second}))
	if got := one.fails(t, 6, from("192.0.2.1", "lucy", "wrong")); got[broker.CodeSignInFailed] != 6 {
		t.Fatal(got)
	}
	began := time.Now()
	eventually(t, "the block is in the store", func() bool {
		list, err := two.LimitBlocks(t.Context())
		return err == nil && len(list) == 1
	})
	eventually(t, "both know each other", func() bool {
		list, err := two.Brokers(t.Context())
		return err == nil && len(list) == 2 && list[0].Live && list[1].Live
	})
	cut.deaf.Store(true)
	n := 0
	eventually(t, "half of six failures block", func() bool { // as soon as the broker knows that it is alone
		n++
		address := fmt.Sprintf("192.0.2.%d", 100+n)
		got := one.fails(t, 4, from(address, "lucy", "wrong"))
		return got[broker.CodeSignInFailed] == 3 && got[broker.CodeTooMany] == 1
	})
	if res := one.Login(t.Context(), from("192.0.2.1", "lucy", "right")); code(res.Refusal) != broker.CodeTooMany && time.Since(began) < 29*time.Second {
		t.Errorf("the block is gone after %s: %+v", time.Since(began), res)
	}
	cut.deaf.Store(false) // what was counted meanwhile is told now
	address := fmt.Sprintf("192.0.2.%d", 100+n)
	eventually(t, "the other broker knows the new block", func() bool {
		return code(two.Login(t.Context(), from(address, "lucy", "right")).Refusal) == broker.CodeTooMany
	})
	eventually(t, "six failures are needed again", func() bool {
		n++
		got := one.fails(t, 6, from(fmt.Sprintf("198.51.100.%d", n), "luke", "wrong"))
		return got[broker.CodeSignInFailed] == 6
	})
}
