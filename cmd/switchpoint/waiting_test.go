package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
	"switchpoint/peer"
)

// TestOutcomeOverPeers: a client whose login waits at one broker has the outcome from another one of the
// cluster, over mutual TLS; a broker of another cluster is told nothing, and who waits at a broker that is
// no more has to sign in again.
func TestOutcomeOverPeers(t *testing.T) {
	covers.Req(t, "LG1")
	db := realserver.Postgres(t, realserver.PostgresOptions{Settings: map[string]string{"fsync": "off"}})
	db.Exec("CREATE DATABASE other")
	hash, err := broker.HashPassword("p") // it takes longer to check than the broker lets clients wait
	if err != nil {
		t.Fatal(err)
	}
	first := startMember(t, "uk", db.DSN, 1, func(o *broker.Options) { o.Config.AnswerWithin, o.Config.Capacity = 10*time.Millisecond, 1 })
	second, third := startMember(t, "uk", db.DSN, 2), startMember(t, "uk", db.DSN, 3)
	stranger := startMember(t, "us", databaseOf(t, db.DSN, "other"), 4)
	befriend(t, first, second, stranger) // nobody trusts the third
	if _, err := first.broker.Apply(t.Context(), broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "floor", Kind: broker.KindPooled, Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "floor-1", Pool: "floor", Host: "10.2.1.1"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Users:        []broker.LocalUser{{Name: "anna", Password: hash}},
	}, false, "test"); err != nil {
		t.Fatal(err)
	}
	waits := func() string {
		t.Helper()
		for range 50 {
			if r := first.broker.Login(t.Context(), broker.LoginRequest{User: "anna", Password: "p", ClientAddr: "192.0.2.7"}); r.Waiting != nil {
				return r.Waiting.ID
			}
		}
		t.Fatal("no login takes 10 ms")
		return ""
	}
	outcome := func(m *member, id string) (r broker.LoginResult) {
		t.Helper()
		for r = m.broker.LoginOutcome(t.Context(), id); r.Waiting != nil; r = m.broker.LoginOutcome(t.Context(), id) {
			if r.Waiting.ID != id {
				t.Fatalf("the id has become %q", r.Waiting.ID)
			}
		}
		return r
	}

	id := waits()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the second learns of the first with its beat
		r := outcome(second, id)
		if r.Token != "" {
			if !strings.HasPrefix(r.Token, "sp1.1.") || len(r.Offers) != 1 || r.Offers[0].Pool != "floor" || r.Offers[0].ID.String() == "" {
				t.Errorf("%+v", r)
			}
			if got := second.code(t, r.Token); got != "" {
				t.Errorf("its session at the second broker: %q", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r)
		}
	}
	if r := outcome(third, id); r.Refusal == nil || r.Refusal.Code != broker.CodeLoginUnknown {
		t.Errorf("a broker that nobody trusts: %+v", r)
	}

	question, err := json.Marshal(broker.WaitingQuestion{IDHash: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.peer.Call(t.Context(), nthBroker(1), waitingMethod, question)
	if refused, ok := errors.AsType[*peer.RemoteError](err); !ok || refused.Code != codeOtherCluster {
		t.Errorf("a broker of another cluster: %v", err)
	}
	for _, body := range []string{"", "{}", "[", `{"id_hash":"AAAA"}`} {
		_, err = second.peer.Call(t.Context(), nthBroker(1), waitingMethod, []byte(body))
		if refused, ok := errors.AsType[*peer.RemoteError](err); !ok || refused.Code != peer.CodeBadRequest {
			t.Errorf("question %q: %v", body, err)
		}
	}

	id = waits()
	first.stop()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r := second.broker.LoginOutcome(t.Context(), id)
		if r.Refusal != nil && r.Refusal.Code == broker.CodeLoginUnknown {
			break
		}
		if time.Now().After(deadline) || r.Token != "" {
			t.Fatalf("the first one is no more: %+v", r)
		}
	}
}
