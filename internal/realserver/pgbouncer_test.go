package realserver

import (
	"strings"
	"testing"
)

func TestPgBouncerLife(t *testing.T) {
	db := Postgres(t, PostgresOptions{})
	s := PgBouncer(t, PgBouncerOptions{Server: db, Settings: map[string]string{"default_pool_size": "3"}, ports: takenFirst(t)})
	db.Exec("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	if got, err := client(db, s.DSN, "SELECT n FROM kept"); err != nil || got != "7" {
		t.Fatalf("through it: %q, %v", got, err)
	}
	if got := s.Admin("SHOW CONFIG"); !strings.Contains(got, "pool_mode|transaction|") || !strings.Contains(got, "default_pool_size|3|") {
		t.Errorf("its configuration: %s", got)
	}
	wrong := strings.Replace(s.DSN, "postgres-secret", "wrong", 1)
	if out, err := client(db, wrong, "SELECT 1"); err == nil {
		t.Errorf("a wrong password was accepted: %s", out)
	}
	for _, end := range []func(){s.Kill, s.Stop} {
		end()
		if out, err := client(db, s.DSN, "SELECT 1"); err == nil {
			t.Errorf("it answers after its end: %s", out)
		}
		s.Start()
		if got, err := client(db, s.DSN, "SELECT 2"); err != nil || got != "2" {
			t.Errorf("after the start: %q, %v", got, err)
		}
	}
	s.Pause()
	if out, err := client(db, s.DSN, "SELECT 1"); err == nil {
		t.Errorf("a paused one answers: %s", out)
	}
	s.Resume()
}
