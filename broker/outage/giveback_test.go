package outage

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
)

// running opens node.db and writes to it until the test ends.
func runningNode(t *testing.T, path string) *node {
	t.Helper()
	n, err := openNode(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); n.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestRoomOfAnOutage: what the logins of an outage take on the disk is bounded, and the disk has it back
// afterwards. (The original writes 1 MB in two or three minutes of 10 logins/s.)
func TestRoomOfAnOutage(t *testing.T) {
	covers.Req(t, "HC8")
	const logins = 10_000
	began := time.Now()
	ends := began.Add(time.Hour)
	path := filepath.Join(t.TempDir(), nodeFile)
	n := runningNode(t, path)
	size := func() int64 {
		t.Helper()
		if _, err := n.db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			t.Fatal(err)
		}
		i, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return i.Size()
	}
	empty := size()
	for range logins / 500 {
		var acts []broker.Act
		for range 500 {
			r, hash := record("anna")
			acts = append(acts, broker.Act{Kind: broker.ActSession, At: began, Session: &r.NewSession.Session, TokenHash: hash[:], Ends: ends, Log: &r.Log})
		}
		if err := n.journal(t.Context(), acts...); err != nil {
			t.Fatal(err)
		}
	}
	full := size()
	perLogin := (full - empty) / logins
	t.Logf("%d bytes for each login: 1 MB in %s at 10 logins/s", perLogin, (time.Second / 10 * 1e6 / time.Duration(perLogin)).Round(time.Second))
	if perLogin > 4000 {
		t.Error("at 300 logins/s that is more than 4 GB an hour")
	}
	if err := errors.Join(n.drop(t.Context(), 1<<40), n.sweep(t.Context(), ends.Add(48*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if kept := size(); kept < full/2 {
		t.Fatalf("the file has %d bytes by itself: nothing is shown", kept)
	}
	for steps, more := 0, true; more; steps++ {
		var err error
		if more, err = n.giveBack(t.Context()); err != nil || steps > 100 {
			t.Fatalf("step %d: %v", steps, err)
		}
	}
	if after := size(); after > empty+2*roomKept*4096 {
		t.Errorf("%d bytes after the outage, %d before it, %d in it", after, empty, full)
	}
}

// TestOlderNodeFile: a file that was made without it gives room back, too.
func TestOlderNodeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), nodeFile)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range schemaNode {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err = db.ExecContext(t.Context(), `INSERT INTO kept VALUES ('what', x'01'); PRAGMA user_version = 13`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	n := runningNode(t, path)
	var can, kept int
	if err := n.db.QueryRowContext(t.Context(), `PRAGMA auto_vacuum`).Scan(&can); err != nil || can != 2 {
		t.Errorf("auto_vacuum is %d, %v", can, err)
	}
	if err := n.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM kept`).Scan(&kept); err != nil || kept != 1 {
		t.Errorf("%d rows are kept, %v", kept, err)
	}
}
