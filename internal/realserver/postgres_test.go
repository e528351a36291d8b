package realserver

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// client runs psql as any client would: over TCP, with the DSN's password.
func client(s *PostgresServer, dsn, sql string) (string, error) {
	cmd := exec.Command(s.bin.psql, "--no-psqlrc", "--no-align", "--tuples-only", "--command="+sql, dsn)
	cmd.Env = append(os.Environ(), "PGCONNECT_TIMEOUT=2", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestPostgresLife(t *testing.T) {
	s := Postgres(t, PostgresOptions{Settings: map[string]string{"max_connections": "17"}})
	if got, err := client(s, s.DSN, "SHOW max_connections"); err != nil || got != "17" {
		t.Fatalf("max_connections over TCP = %q, %v", got, err)
	}
	wrong, err := url.Parse(s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword("postgres", "wrong")
	if out, err := client(s, wrong.String(), "SELECT 1"); err == nil {
		t.Errorf("a wrong password was accepted: %s", out)
	}

	s.Exec("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
	s.Kill()
	if out, err := client(s, s.DSN, "SELECT 1"); err == nil {
		t.Errorf("a killed server answers: %s", out)
	}
	s.Start()
	s.Exec("INSERT INTO kept VALUES (2)")
	s.Stop()
	s.Start()
	if got := s.Exec("SELECT n FROM kept ORDER BY n"); got != "1\n2" {
		t.Errorf("rows after kill and stop = %q, want 1 and 2", got)
	}

	s.Pause()
	if out, err := client(s, s.DSN, "SELECT 1"); err == nil {
		t.Errorf("a paused server answers: %s", out)
	}
	s.Resume()
	if got := s.Exec("SELECT 3"); got != "3" {
		t.Errorf("resumed server answers %q", got)
	}
}

func TestPostgresKillEndsSessions(t *testing.T) {
	s := Postgres(t, PostgresOptions{Database: "postgres"})
	session := exec.Command(s.bin.psql, "--no-psqlrc", "--command=SELECT pg_sleep(300)", s.DSN)
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	for s.Exec("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") != "1" {
		select {
		case err := <-ended:
			t.Fatalf("the session ended by itself: %v", err)
		default:
		}
	}
	family := descendants(s.proc.pid)
	if len(family) < 2 {
		t.Fatalf("descendants = %v, want the server's own processes and a session", family)
	}
	s.Kill()
	if err := <-ended; err == nil {
		t.Error("the session survived")
	}
	s.Start() // fails when a process of the killed server still holds its memory
}

func TestPostgresStandby(t *testing.T) {
	primary := Postgres(t, PostgresOptions{TLS: true})
	standby := primary.Standby()
	secure := strings.Replace(standby.DSN, "sslmode=disable", "sslmode=verify-full&sslrootcert="+standby.CAFile, 1)
	if got, err := client(standby, secure, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); err != nil || got != "t" {
		t.Errorf("TLS: %q, %v", got, err)
	}
	if got := standby.Exec("SELECT pg_is_in_recovery()"); got != "t" {
		t.Fatalf("in recovery: %s", got)
	}
	primary.Exec("CREATE TABLE copied (n int)")
	lsn := primary.Exec("SELECT pg_current_wal_lsn()")
	for end := time.Now().Add(20 * time.Second); standby.Exec("SELECT pg_last_wal_replay_lsn() >= '"+lsn+"'") != "t"; {
		if time.Now().After(end) {
			t.Fatal("the standby does not follow")
		}
	}
	standby.Exec("SELECT n FROM copied")
	primary.Kill()
	if got := standby.Exec("SELECT pg_promote()"); got != "t" {
		t.Fatalf("promoted: %s", got)
	}
	standby.Exec("INSERT INTO copied VALUES (1)")
}
