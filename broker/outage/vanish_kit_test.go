package outage

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"switchpoint/broker"
	"switchpoint/broker/outage/mode"
	"switchpoint/internal/realserver"
)

// vanishing is a database server on a host of its own, which brokers use with a role that is no superuser.
type vanishing struct {
	net    *realserver.Network
	host   *realserver.Host
	server *realserver.PostgresServer
	dsn    string
}

// maxConnections is what the server has for all, a superuser's reserve included.
const maxConnections = 30

func newVanishing(t *testing.T) *vanishing {
	t.Helper()
	n := realserver.StartNetwork(t, "db")
	s := &vanishing{net: n, host: n.Host("db")}
	s.server = realserver.Postgres(t, realserver.PostgresOptions{Host: s.host, Settings: map[string]string{"max_connections": strconv.Itoa(maxConnections)}})
	s.server.Exec(`CREATE ROLE switchpoint LOGIN PASSWORD 'postgres-secret'; CREATE ROLE others LOGIN; ALTER DATABASE switchpoint OWNER TO switchpoint`)
	s.dsn = strings.Replace(s.server.DSN, "postgres:postgres-secret@", "switchpoint:postgres-secret@", 1)
	return s
}

// open lets a broker join, with a host cache that it can serve from.
func (s *vanishing) open(t *testing.T, profile string, wired bool) *world {
	t.Helper()
	w := &world{server: s.server, dsn: s.dsn, outage: broker.Outage{Mode: broker.OutageAuto, Profile: profile, CacheEvery: time.Hour, CacheMaxAge: time.Hour}}
	if wired {
		w.cable = newCable(t, s.server.Addr)
	}
	newWorldWith(t, w)
	if _, err := w.cache.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// maintain runs statements from outside of the database that they are about.
func (s *vanishing) maintain(t *testing.T, statements ...string) {
	t.Helper()
	db := s.session(t, "postgres")
	for _, text := range statements {
		var err error
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if _, err = db.ExecContext(t.Context(), text); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
}

// session is one as that role, over the server's socket.
func (s *vanishing) session(t *testing.T, role string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", s.server.SocketDir, s.server.Port, role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const (
	// disconnect ends all connections to the database but the own.
	disconnect = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'switchpoint' AND pid <> pg_backend_pid()`
	connected  = `SELECT count(*) FROM pg_stat_activity WHERE usename = 'switchpoint'`
)

// crowdOut has others take all connections of the server, the brokers' too: those for everybody first, and
// then the superuser's reserve. It returns how they give them back.
func (s *vanishing) crowdOut(t *testing.T) (leave func()) {
	t.Helper()
	admin, others, reserve := s.session(t, "postgres"), s.session(t, "others"), s.session(t, "postgres")
	var held []*sql.Conn
	takeAll := func(db *sql.DB) {
		for {
			c, err := db.Conn(t.Context())
			if err != nil {
				if !strings.Contains(err.Error(), "53300") {
					t.Fatal(err)
				}
				return
			}
			held = append(held, c)
		}
	}
	eventually(t, "others have all connections", 30*time.Second, func() bool {
		var left int
		if _, err := admin.ExecContext(t.Context(), disconnect); err != nil {
			t.Fatal(err)
		}
		takeAll(others)
		if err := admin.QueryRowContext(t.Context(), connected).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
	takeAll(reserve)
	return sync.OnceFunc(func() {
		for _, c := range held {
			_ = c.Close()
		}
		for _, db := range []*sql.DB{admin, others, reserve} {
			_ = db.Close()
		}
	})
}

// forgetConnections has the network forget the connections that the broker has now.
func (s *vanishing) forgetConnections(t *testing.T) {
	t.Helper()
	db := s.session(t, "postgres")
	rows, err := db.QueryContext(t.Context(), `SELECT client_port FROM pg_stat_activity WHERE usename = 'switchpoint'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var port uint16
		if err := rows.Scan(&port); err != nil {
			t.Fatal(err)
		}
		s.net.Forget(port)
	}
	if err := rows.Err(); err != nil || n == 0 {
		t.Fatalf("%d connections, %v", n, err)
	}
}

// endure has users sign in while the database goes and comes back. The mode has to say so within a time from
// when it began to go, and everything is to be in the database in the end.
func (w *world) endure(t *testing.T, limit time.Duration, way way) {
	t.Helper()
	c := w.startCrowd(t)
	c.goOn(t, "users sign in")
	c.enter(between)
	w.lost = time.Now()
	way.gone(t, w)
	w.until(mode.HostCache, limit+30*time.Second)
	switched := w.State().Since.Sub(w.lost)
	c.enter(during)
	c.goOn(t, "users sign in without the database")
	if way.more != nil {
		way.more(t, w)
	}
	if m := w.State().Mode; m != mode.HostCache {
		t.Errorf("mode %s before the database is back: %s", m, w.State().Reason)
	}
	way.back(t, w)
	w.until(mode.Normal, 90*time.Second)
	c.enter(after)
	c.goOn(t, "users sign in as before")
	c.report(t, fmt.Sprintf("host cache after %s", switched.Round(10*time.Millisecond)))
	if switched > limit+slack {
		t.Errorf("the mode changed after %s", switched)
	}
	if left := w.node.unmerged(); left > 0 {
		t.Errorf("%d acts are left", left)
	}
}

// staysAway waits for as many questions to a database that is no help, and wants the mode to stay.
func (w *world) staysAway(t *testing.T, beats int) {
	t.Helper()
	why := w.status(t).Why
	eventually(t, "the database answers in another way", 20*time.Second, func() bool { return w.status(t).Why != why })
	for range beats {
		if s := w.State(); s.Mode != mode.HostCache {
			t.Fatalf("mode %s: %s", s.Mode, s.Reason)
		}
		time.Sleep(judgeEvery)
	}
	t.Logf("and still: %s", w.status(t).Why)
}

func (w *world) status(t *testing.T) Status {
	t.Helper()
	s, err := w.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// slack is what a machine that does other things, too, may be late with a limit.
const slack = 2 * time.Second

// fill takes all that is left of the disk.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}
