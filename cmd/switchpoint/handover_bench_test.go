package main

import (
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/realserver"
)

// BenchmarkSessionOfAnother compares the two ways to a session of another broker: the question over
// the peer channel, answered out of memory, and the read of the database.
func BenchmarkSessionOfAnother(b *testing.B) {
	db := realserver.Postgres(b, realserver.PostgresOptions{})
	first, second := startMember(b, "uk", db.DSN, 1), startMember(b, "uk", db.DSN, 2)
	befriend(b, first, second)
	hash, err := broker.HashPassword("p")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := first.broker.Apply(b.Context(), broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "floor", Kind: broker.KindPooled, Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "floor-1", Pool: "floor", Host: "10.2.1.1"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
		Users:        []broker.LocalUser{{Name: "anna", Password: hash}},
	}, false, "bench"); err != nil {
		b.Fatal(err)
	}
	r := first.broker.Login(b.Context(), broker.LoginRequest{User: "anna", Password: "p"})
	token, err := broker.ParseToken(r.Token)
	if err != nil {
		b.Fatal(err)
	}
	key := token.Hash()
	b.Run("peer", func(b *testing.B) {
		for b.Loop() {
			answer, err := second.askSession(b.Context(), nthBroker(1), broker.SessionQuestion{TokenHash: key[:]})
			if err != nil || answer.Session == nil {
				b.Fatal(answer, err)
			}
			if answer.Age > 2*time.Second {
				b.Fatalf("age %s", answer.Age)
			}
		}
	})
	b.Run("database", func(b *testing.B) {
		for b.Loop() {
			if _, err := second.store.Session(b.Context(), key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
