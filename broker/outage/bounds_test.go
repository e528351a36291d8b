package outage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
)

// TestTakenIsChecked: nothing leaves the journal by an answer that does not tell of each act.
func TestTakenIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		taken Taken
		good  bool
	}{
		"all":              {Taken{Merged: 3}, true},
		"one refused":      {Taken{Merged: 2, Refused: []RefusedAct{{Index: 2}}}, true},
		"nothing":          {Taken{}, false},
		"one too few":      {Taken{Merged: 2}, false},
		"one twice":        {Taken{Merged: 1, Refused: []RefusedAct{{Index: 1}, {Index: 1}}}, false},
		"one that is none": {Taken{Merged: 2, Refused: []RefusedAct{{Index: 3}}}, false},
		"before the first": {Taken{Merged: 2, Refused: []RefusedAct{{Index: -1}}}, false},
		"less than none":   {Taken{Merged: -1, Refused: make([]RefusedAct, 4)}, false},
	} {
		if err := tc.taken.of(3); (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := RefusedAct{Why: strings.Repeat("x", 1<<20), Conflict: true}.err()
	if len(long.Error()) > 2000 || !errors.Is(long, broker.ErrConflict) {
		t.Errorf("a reason of %d bytes is kept", len(long.Error()))
	}
}

// TestOldestOnTheirWay: whoever merges the rest while logins wait does not wait without a bound for acts that
// are being handed over.
func TestOldestOnTheirWay(t *testing.T) {
	s := &Store{oldest: make(chan struct{}, 1)}
	s.oldest <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.mergeBatch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestNoGateInAnOutage: whether the files are done with is not asked by making logins wait for the slowest.
func TestNoGateInAnOutage(t *testing.T) {
	w := newWorld(t)
	w.drill(t)
	w.login("anna")
	w.gate.RLock() // a call that takes its time
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.releaseFiles(time.Now())
	}()
	select {
	case <-done:
		w.gate.RUnlock()
	case <-time.After(10 * time.Second):
		w.gate.RUnlock()
		<-done
		t.Error("it waits for the call, and all others for it")
	}
}

// TestNamelessPeer: who does not say who it is is not elected, and who calls itself by this broker's name says
// nothing about it.
func TestNamelessPeer(t *testing.T) {
	server := startServer(t)
	w := newWorldWith(t, &world{server: server, dsn: server.DSN, change: func(o *Options) {
		o.AskPeers = func(context.Context) []Peer {
			return []Peer{{Mode: mode.HostCache, Able: true, Capacity: 9}, {Name: "b", Mode: mode.HostCache, Able: true, Capacity: 9}, {Name: "c", Mode: mode.HostCache}}
		}
	}, outage: broker.Outage{
		Mode: broker.OutageHostCache, Profile: broker.OutageFast, CacheEvery: time.Hour, CacheMaxAge: time.Hour, Serve: broker.ServeElected, Elect: broker.ElectName,
	}})
	w.drill(t)
	eventually(t, "the others are heard", 10*time.Second, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.facts.heard) > 0
	})
	w.mu.Lock()
	n := len(w.facts.heard)
	w.mu.Unlock()
	if got := w.winner(time.Now()); got != "b" || n != 1 {
		t.Errorf("%q is elected, %d brokers are heard", got, n)
	}
}

// TestNotElectedAnswers: a broker that is not elected refuses users, and still tells the one that is about the
// sessions that it alone knows.
func TestNotElectedAnswers(t *testing.T) {
	_, w, _ := newPeers(t, broker.ServeElected, broker.ElectName, "b", "c")
	r, hash := record("carl")
	r.NewSession.Idle = time.Hour
	out, err := w[1].Login(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	w[0].server.Kill()
	w[0].alone(t, w[1])
	if _, err := w[0].Session(t.Context(), hash); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("the host cache of the other one has it: %v", err)
	}
	if s, err := w[1].Session(t.Context(), hash); err != nil || s.ID != out.Session.ID {
		t.Errorf("a session that it made before: %+v, %v", s, err)
	}
	if err := w[1].TouchSession(t.Context(), out.Session.ID, 0); err != nil {
		t.Errorf("that it is used: %v", err)
	}
	if _, err := w[1].Offers(t.Context(), broker.OfferQuery{Who: who("carl")}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("its offers: %v", err)
	}
}

// TestBatchesAreBounded: what is merged at once is bounded by its length, too, or a batch of very long acts would
// never be done in time.
func TestBatchesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.drill(t)
	for range 3 {
		r := said("does much")
		r.Reason = []string{strings.Repeat("x", batchBytes/2)}
		if err := w.node.journal(t.Context(), broker.Act{Kind: broker.ActLog, At: time.Now(), Log: &r}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.mergeBatch(t.Context()); err != nil || n != 1 {
		t.Errorf("%d acts at once, %v", n, err)
	}
	w.endDrill(t)
}
