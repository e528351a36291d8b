package postgres

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/realserver"
)

// TestLater: a store that was opened while no server was there says so in each call, and serves from the first
// call on that finds one, with a schema that it has brought up to date itself.
func TestLater(t *testing.T) {
	server := realserver.Postgres(t, realserver.PostgresOptions{})
	server.Kill()
	s, err := Open(t.Context(), Options{URL: server.DSN, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.SetupVersion(ctx); !errors.Is(err, broker.ErrUnavailable) || time.Since(began) > 3*time.Second {
		t.Fatalf("without a server, after %s: %v", time.Since(began), err)
	}
	server.Start()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err = s.SetupVersion(t.Context()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Setup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLaterSilent: calls that come while another one waits for a server that says nothing keep to their own
// deadlines.
func TestLaterSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, err := Open(t.Context(), Options{URL: "postgres://u@" + silent.Addr().String() + "/d?sslmode=disable", Later: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ended := make(chan time.Duration)
	for range 3 {
		go func() {
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			if _, err := s.SetupVersion(ctx); !errors.Is(err, broker.ErrUnavailable) {
				t.Errorf("a silent server: %v", err)
			}
			ended <- time.Since(began)
		}()
	}
	for range 3 {
		if took := <-ended; took > 3*time.Second {
			t.Errorf("a call with a deadline of 300 ms took %s", took)
		}
	}
}

// TestLaterLongMigration: a migration comes to its end though no call waits for as long as it takes.
func TestLaterLongMigration(t *testing.T) {
	server := realserver.Postgres(t, realserver.PostgresOptions{})
	s, err := Open(t.Context(), Options{URL: server.DSN, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for deadline := time.Now().Add(30 * time.Second); !s.ready.Load(); {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		_, err := s.SetupVersion(ctx)
		cancel()
		if err != nil && !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if _, err := s.SetupVersion(t.Context()); err != nil {
		t.Error(err)
	}
}
