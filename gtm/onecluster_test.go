package gtm

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// The two sites of the cluster. Their addresses are of one host, the sites differ in the third number.
const (
	ny     = "ny"
	boston = "boston"

	nyDatabase, bostonDatabase = "127.0.14.20", "127.0.15.20"
	databasePassword           = "secret of the test"

	// changeWait is for what a real database and probes have to do on a busy machine.
	changeWait = 20 * time.Second
)

// TestOneClusterAcrossSites plays one cluster in two sites (TP2) on real PostgreSQL servers, the
// principal in ny and its standby in boston: gtm gives each client the nearest broker, and the
// cluster the database that takes writes.
//
// Who promotes the standby is not gtm: a database administrator, or a watcher of the database such
// as Patroni, of which the second case has a small one. gtm sees who is principal, and everybody
// follows without a word of an operator.
func TestOneClusterAcrossSites(t *testing.T) {
	covers.Req(t, "TP2")
	t.Run("step by step, promoted by hand", func(t *testing.T) {
		c := startOneCluster(t)
		c.normalDay()
		c.standbyFails()
		c.brokersOfNYFail()
		c.principal.Kill()
		c.withoutDatabase()
		c.standby.Exec("SELECT pg_promote()")
		c.servedByBoston()
		c.nyComesBack()
	})
	t.Run("ny at a stroke, promoted by a watcher", func(t *testing.T) {
		c := startOneCluster(t)
		c.normalDay()
		c.watchPrincipal()
		c.brokers[ny][0].stop()
		c.brokers[ny][1].stop()
		c.principal.Kill()
		c.servedByBoston()
	})
}

// oneCluster is the cluster: its brokers, its two databases, and the gtm that watches all of them.
type oneCluster struct {
	t                  *testing.T
	brokers            map[string][]*alivePage
	principal, standby *realserver.PostgresServer
	engine             *healthcheck.Engine
	gtm                *Server
	addr               string
	rows               int // that brokers have written
}

func startOneCluster(t *testing.T) *oneCluster {
	t.Helper()
	c := &oneCluster{t: t, brokers: map[string][]*alivePage{}}
	for site, ips := range map[string][]string{ny: {"127.0.14.11", "127.0.14.12"}, boston: {"127.0.15.11", "127.0.15.12"}} {
		for _, ip := range ips {
			c.brokers[site] = append(c.brokers[site], startAlivePage(t, ip+":0"))
		}
	}
	c.principal = realserver.Postgres(t, realserver.PostgresOptions{Password: databasePassword, Settings: map[string]string{
		"listen_addresses": "127.0.0.1," + nyDatabase + "," + bostonDatabase,
	}})
	c.principal.Exec("CREATE TABLE sessions (n int PRIMARY KEY, broker text)")
	c.standby = c.principal.Standby()

	cfg := c.config()
	c.startEngine(cfg.Checks())
	table, err := Compile(cfg, c.engine.Ref)
	if err != nil {
		t.Fatal(err)
	}
	c.gtm, c.addr = startServer(t, Options{Snapshot: c.engine.Snapshot, Subscribe: c.engine.Subscribe}, table)
	return c
}

// config steers three names: the brokers, the database that takes writes, and its standby.
func (c *oneCluster) config() Config {
	members := func(site string) (out []Member) {
		for _, b := range c.brokers[site] {
			a := b.listener.Addr().(*net.TCPAddr)
			out = append(out, Member{Address: a.IP.String(), Port: uint16(a.Port)})
		}
		return out
	}
	databases := []Pool{
		{Datacenter: ny, Members: []Member{{Host: "db.ny.company.com", Address: nyDatabase, Port: uint16(c.principal.Port)}}},
		{Datacenter: boston, Members: []Member{{Host: "db.boston.company.com", Address: bostonDatabase, Port: uint16(c.standby.Port)}}},
	}
	return Config{
		Listen: []string{"127.0.0.1:0"}, Datacenter: ny, Datacenters: []string{ny, boston},
		Zones: []Zone{{Origin: "company.com", NS: []string{"ns.example.net"}}},
		Topology: []Topology{
			{Prefix: "127.0.14.0/24", Datacenters: []string{ny, boston}},
			{Prefix: "127.0.15.0/24", Datacenters: []string{boston, ny}},
		},
		Names: []Name{
			{
				Name: "cb.company.com", Monitor: "is_alive",
				Pools: []Pool{{Datacenter: ny, Members: members(ny)}, {Datacenter: boston, Members: members(boston)}},
			},
			{ // Who was principal once does not get the name back by itself: what it holds is old.
				Name: "db.company.com", Monitor: "db-principal", Between: "failover", AllDown: "nodata", ManualResume: true,
				SRV: []Service{{Name: "_postgresql._tcp.company.com"}}, Pools: databases,
			},
			{Name: "standby.company.com", Monitor: "db-standby", Between: "failover", AllDown: "nodata", Pools: databases},
		},
	}
}

func (c *oneCluster) startEngine(checks []healthcheck.Key) {
	c.t.Helper()
	password := filepath.Join(c.t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(databasePassword+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	monitor := func(name, kind, role string) healthcheck.Monitor {
		m := healthcheck.Monitor{Name: name, Kind: kind, Interval: 400 * time.Millisecond, Timeout: 350 * time.Millisecond, Fall: 2, Rise: 1}
		if kind == "postgres" {
			m.User, m.Password, m.SSLMode, m.Role = "postgres", "file:"+password, "disable", role
		}
		return m
	}
	table, err := healthcheck.Compile(healthcheck.Config{Checks: checks, Monitors: []healthcheck.Monitor{
		monitor("is_alive", "http", ""), monitor("db-principal", "postgres", "primary"), monitor("db-standby", "postgres", "replica"),
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.engine = healthcheck.New(healthcheck.Options{})
	c.engine.SetTable(table)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.engine.Run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("health engine: %v", err)
		}
	})
	<-c.engine.Ready()
}

// normalDay: each client has the brokers of its site, both sites have the database in ny, and every
// part is seen, the standby as what it is.
func (c *oneCluster) normalDay() {
	c.t.Helper()
	c.clients(ny, ny)
	c.clients(boston, boston)
	c.database(nyDatabase)
	c.answers("standby.company.com", boston, bostonDatabase)
	for _, site := range []string{ny, boston} {
		for _, b := range c.brokers[site] {
			c.check(b.address, "is_alive", "up", "")
		}
	}
	c.check(net.JoinHostPort(nyDatabase, strconv.Itoa(c.principal.Port)), "db-principal", "up", "")
	c.check(c.standbyAddress(), "db-standby", "up", "")
	c.check(c.standbyAddress(), "db-principal", "down", "it is a replica")
	if checks := len(c.engine.List()); checks != 4+2+2 {
		c.t.Errorf("%d checks: four brokers and two databases in two roles each were expected", checks)
	}
	c.work(boston, nyDatabase)
	c.work(ny, nyDatabase)
}

// standbyFails: nobody is answered anything else, and it is seen.
func (c *oneCluster) standbyFails() {
	c.t.Helper()
	c.standby.Kill()
	c.check(c.standbyAddress(), "db-standby", "down", "")
	c.answers("standby.company.com", boston)
	c.clients(boston, boston)
	c.database(nyDatabase)
	c.standby.Start()
	c.check(c.standbyAddress(), "db-standby", "up", "")
	c.answers("standby.company.com", boston, bostonDatabase)
}

// brokersOfNYFail: first one, then both. Everybody goes to boston, whose brokers still work on the
// database in ny.
func (c *oneCluster) brokersOfNYFail() {
	c.t.Helper()
	c.brokers[ny][0].stop()
	c.check(c.brokers[ny][0].address, "is_alive", "down", "")
	c.answers("cb.company.com", ny, "127.0.14.12")
	c.clients(boston, boston)
	c.brokers[ny][1].stop()
	c.clients(ny, boston)
	c.clients(boston, boston)
	c.database(nyDatabase)
	c.work(boston, nyDatabase)
}

// withoutDatabase: until there is a principal nobody is sent to a server that is none.
func (c *oneCluster) withoutDatabase() {
	c.t.Helper()
	c.check(net.JoinHostPort(nyDatabase, strconv.Itoa(c.principal.Port)), "db-principal", "down", "")
	c.database()
	c.clients(ny, boston)
	c.clients(boston, boston)
}

// servedByBoston: the standby has become principal.
func (c *oneCluster) servedByBoston() {
	c.t.Helper()
	c.database(bostonDatabase)
	c.clients(ny, boston)
	c.clients(boston, boston)
	written := c.rows
	c.work(boston, bostonDatabase)
	if got := c.standby.Exec("SELECT count(*) FROM sessions"); got != strconv.Itoa(written+1) {
		c.t.Errorf("the new principal has %s sessions, want the %d that were written to the old one and one more", got, written)
	}
	// The cluster runs without a standby now, and that is seen.
	c.check(c.standbyAddress(), "db-standby", "down", "")
	c.check(net.JoinHostPort(nyDatabase, strconv.Itoa(c.principal.Port)), "db-standby", "down", "")
	c.answers("standby.company.com", boston)
}

// nyComesBack: its brokers serve again at once. Its database, which takes writes and is old, does not
// get the name.
func (c *oneCluster) nyComesBack() {
	c.t.Helper()
	for _, b := range c.brokers[ny] {
		b.start(c.t)
	}
	c.principal.Start()
	c.check(net.JoinHostPort(nyDatabase, strconv.Itoa(c.principal.Port)), "db-principal", "up", "")
	c.clients(ny, ny)
	c.clients(boston, boston)
	c.database(bostonDatabase)
	c.work(ny, bostonDatabase)
	pool := c.gtm.View().Name(1).Pools[0]
	if pool.In || !pool.Held {
		c.t.Errorf("the database in ny is held until somebody releases it; it is %+v", pool)
	}
}

// watchPrincipal promotes the standby once the principal has not answered three times in a row: what
// Patroni and its like do, without their care for the principal that only seems to be dead.
func (c *oneCluster) watchPrincipal() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for missed := 0; missed < 3; missed++ {
				if c.query(ctx, net.JoinHostPort(nyDatabase, strconv.Itoa(c.principal.Port)), "SELECT 1") == nil {
					missed = -1
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(100 * time.Millisecond):
				}
			}
			return c.query(ctx, c.standbyAddress(), "SELECT pg_promote()")
		}()
	}()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("the watcher of the principal: %v", err)
		}
	})
}
