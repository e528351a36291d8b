package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// ticketed is a login of user that spends a ticket.
func (b *bench) ticketed(user, ticket string) broker.LoginRecord {
	r := b.record(user)
	r.Ticket, r.TicketKeep = ticket, time.Hour
	return r
}

// elsewhere turns a login into one that is sent to another cluster.
func elsewhere(r broker.LoginRecord) broker.LoginRecord {
	r.NewSession, r.Redirect, r.Log.Kind, r.Log.Session = nil, "https://us", broker.LogRedirect, ""
	return r
}

// testTicket: a ticket is spent once, by a session or by a redirect, at whatever broker.
func testTicket(t *testing.T, b *bench) {
	b.fill(setup())
	other := b.handle()
	one := must(b.Login(ctx(t), b.ticketed("anna", "us/1")))(t)
	if one.Session == nil || one.Replayed {
		t.Fatalf("a login with a new ticket: %+v", one)
	}
	must(b.Login(ctx(t), elsewhere(b.ticketed("anna", "us/2"))))(t)
	for _, ticket := range []string{"us/1", "us/2"} {
		again, away := b.ticketed("anna", ticket), elsewhere(b.ticketed("anna", ticket))
		for _, r := range []broker.LoginRecord{again, away} {
			if out, err := other.Login(ctx(t), r); !errors.Is(err, broker.ErrTicketUsed) {
				t.Errorf("ticket %s was taken twice: %+v, %v", ticket, out, err)
			}
			if _, err := b.LogByRef(ctx(t), r.Log.Ref); !errors.Is(err, broker.ErrNotFound) {
				t.Errorf("a login without effect wrote a log row: %v", err)
			}
		}
		if _, err := b.Session(ctx(t), again.NewSession.TokenHash); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("a used ticket made a session: %v", err)
		}
	}
	must(other.Login(ctx(t), b.ticketed("anna", "de/1")))(t) // the same number of another issuer
}

// testTicketRefused: a login that ends in a refusal leaves its ticket as it is.
func testTicketRefused(t *testing.T, b *bench) {
	b.fill(setup())
	r := b.ticketed("carl", "us/1")
	r.NewSession.Grants = nil
	if out := must(b.Login(ctx(t), r))(t); out.Session != nil {
		t.Fatalf("outcome %+v", out)
	}
	if out := must(b.Login(ctx(t), b.ticketed("carl", "us/1")))(t); out.Session == nil {
		t.Errorf("outcome %+v", out)
	}
}

// testTicketKey: the same key with the same ticket is the same login; with another key it is a replay,
// and what that login would have stored is not there.
func testTicketKey(t *testing.T, b *bench) {
	b.fill(setup())
	other := b.handle()
	keyed := func(key, ticket string) broker.LoginRecord {
		r := b.ticketed("anna", ticket)
		r.Key, r.KeyMAC = key, [32]byte{1}
		return r
	}
	first := must(b.Login(ctx(t), keyed("k", "us/1")))(t)
	again := must(other.Login(ctx(t), keyed("k", "us/1")))(t)
	if !again.Replayed || again.Session == nil || again.Session.ID != first.Session.ID {
		t.Errorf("the same key and ticket: %+v, want %+v", again, first)
	}
	if _, err := other.Login(ctx(t), keyed("k2", "us/1")); !errors.Is(err, broker.ErrTicketUsed) {
		t.Errorf("a used ticket with another key: %v", err)
	}
	if out := must(b.Login(ctx(t), keyed("k2", "us/2")))(t); out.Replayed || out.Session == nil {
		t.Errorf("the key of a login without effect was kept: %+v", out)
	}
	away := must(b.Login(ctx(t), elsewhere(keyed("k3", "us/3"))))(t)
	if back := must(other.Login(ctx(t), elsewhere(keyed("k3", "us/3"))))(t); !back.Replayed || back.Redirect != away.Redirect {
		t.Errorf("a redirect again: %+v, want %+v", back, away)
	}
}

// testTicketAtOnce presents one ticket many times at once: with keys of their own one login counts, and
// with one key all have its session.
func testTicketAtOnce(t *testing.T, b *bench) {
	b.fill(setup())
	handles := [2]Store{b.Store, b.handle()}
	const n = 12
	for _, c := range []struct {
		ticket  string
		oneKey  bool
		answers int
	}{{"us/1", false, 1}, {"us/2", true, n}} {
		var mu sync.Mutex
		sessions := map[string]int{}
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				r := b.ticketed("anna", c.ticket)
				if r.Key, r.KeyMAC = id(), [32]byte{1}; c.oneKey {
					r.Key = "key of " + c.ticket
				}
				out, err := handles[i%2].Login(ctx(t), r)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && out.Session != nil:
					sessions[out.Session.ID]++
				case !errors.Is(err, broker.ErrTicketUsed):
					t.Errorf("%+v, %v", out, err)
				}
			})
		}
		wg.Wait()
		for _, answers := range sessions {
			if answers != c.answers || len(sessions) != 1 {
				t.Errorf("one ticket, one key %v: sessions with their answers %v", c.oneKey, sessions)
			}
		}
		if len(sessions) == 0 {
			t.Errorf("one ticket, one key %v: nobody got in", c.oneKey)
		}
	}
}

// testTicketPurge: a row goes when its time is over, and only then.
func testTicketPurge(t *testing.T, b *bench) {
	b.fill(setup())
	short := b.ticketed("anna", "us/1")
	short.TicketKeep = time.Millisecond
	must(b.Login(ctx(t), short))(t)
	must(b.Login(ctx(t), b.ticketed("anna", "us/2")))(t)
	gone := 0
	for deadline := time.Now().Add(10 * time.Second); gone == 0; {
		p := must(b.Purge(ctx(t), broker.Retention{Log: time.Hour, Sessions: time.Hour}))(t)
		gone += p.Tickets
		if time.Now().After(deadline) {
			t.Fatal("the row never went")
		}
	}
	must(b.Login(ctx(t), b.ticketed("anna", "us/1")))(t)
	if _, err := b.Login(ctx(t), b.ticketed("anna", "us/2")); gone != 1 || !errors.Is(err, broker.ErrTicketUsed) {
		t.Errorf("%d rows went, %v", gone, err)
	}
}

// testTicketSeed: the first key that is proposed is the cluster's for good, for brokers that come later
// and after a restart; a cluster without one gets one.
func testTicketSeed(t *testing.T, b *bench) {
	join := func(s Store, site int, name string, key byte) broker.Cluster {
		proposal := cluster(1)
		proposal.TicketKey[0] = key
		return must(s.Join(ctx(t), node(site, name), proposal, time.Minute))(t).Cluster
	}
	if c := join(b.Store, 1, "a", 0); c.TicketKey != [32]byte{} {
		t.Errorf("a key that nobody proposed: %v", c.TicketKey)
	}
	first := join(b.Store, 2, "b", 7)
	if first.TicketKey != [32]byte{7} {
		t.Fatalf("the proposed key was not taken: %v", first.TicketKey)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for site, name := range []string{"", "a", "b", "c"} {
		if name != "" {
			if c := join(b.handle(), site, name, byte(20+site)); c != first {
				t.Errorf("broker %s has another cluster: %+v, want %+v", name, c, first)
			}
		}
	}
}
