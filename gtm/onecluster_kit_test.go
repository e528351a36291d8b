package gtm

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/miekg/dns"

	"switchpoint/healthcheck"
)

func (c *oneCluster) standbyAddress() string {
	return net.JoinHostPort(bostonDatabase, strconv.Itoa(c.standby.Port))
}

// query runs a statement at a database over TCP.
func (c *oneCluster) query(ctx context.Context, address, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=postgres password='%s' dbname=switchpoint sslmode=disable", host, port, databasePassword))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, sql).ReadAll()
	return err
}

// work is what a broker of a site does: it asks gtm where the database is, as a client of its site,
// and writes there. It must be the one at want.
func (c *oneCluster) work(site, want string) {
	c.t.Helper()
	m := c.ask(site, "_postgresql._tcp.company.com.", dns.TypeSRV)
	if m == nil || len(m.Answer) == 0 || len(addresses(m.Extra)) == 0 {
		c.t.Fatalf("where is the database: %v", m)
	}
	host := addresses(m.Extra)[0]
	if host != want {
		c.t.Errorf("brokers in %s work on %s, want %s", site, host, want)
	}
	address := net.JoinHostPort(host, strconv.Itoa(int(m.Answer[0].(*dns.SRV).Port)))
	sql := fmt.Sprintf("INSERT INTO sessions VALUES (%d, '%s')", c.rows, site)
	if err := c.query(c.t.Context(), address, sql); err != nil {
		c.t.Fatalf("write to %s: %v", address, err)
	}
	c.rows++
	if want == nyDatabase { // replication does not wait for the standby, so the test does
		c.eventually("the standby has the session", func() error {
			if got := c.standby.Exec("SELECT count(*) FROM sessions"); got != strconv.Itoa(c.rows) {
				return fmt.Errorf("it has %s of %d", got, c.rows)
			}
			return nil
		})
	}
}

// clients wants the clients of a site to have all brokers of a site.
func (c *oneCluster) clients(from, to string) {
	c.t.Helper()
	var want []string
	for _, b := range c.brokers[to] {
		want = append(want, b.listener.Addr().(*net.TCPAddr).IP.String())
	}
	c.answers("cb.company.com", from, want...)
}

// database wants both sites to have the database there, or none.
func (c *oneCluster) database(want ...string) {
	c.t.Helper()
	c.answers("db.company.com", ny, want...)
	c.answers("db.company.com", boston, want...)
}

// answers waits until the clients of a site get these addresses for a name.
func (c *oneCluster) answers(name, site string, want ...string) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%s is %v in %s", name, want, site), func() error {
		m := c.ask(site, dns.Fqdn(name), dns.TypeA)
		if m == nil || m.Rcode != dns.RcodeSuccess {
			return fmt.Errorf("no answer: %v", m)
		}
		got := addresses(m.Answer)
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
}

// ask asks gtm as a client of a site.
func (c *oneCluster) ask(site, name string, qtype uint16) *dns.Msg {
	from := map[string]string{ny: "127.0.14.200", boston: "127.0.15.200"}[site]
	d := dns.Client{Timeout: 2 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}}
	m, _, err := d.ExchangeContext(c.t.Context(), new(dns.Msg).SetQuestion(name, qtype), c.addr)
	if err != nil {
		return nil // as a lost packet: asked again
	}
	return m
}

// check waits until a check of the health engine has a state, with a text in its reason.
func (c *oneCluster) check(address, monitor, state, reason string) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%s/%s is %s", address, monitor, state), func() error {
		st := c.engine.Snapshot().Get(c.engine.Ref(healthcheck.Key{Address: address, Monitor: monitor}))
		if st.State.String() != state || !strings.Contains(st.Reason, reason) {
			return fmt.Errorf("it is %s: %s", st.State, st.Reason)
		}
		return nil
	})
}

func (c *oneCluster) eventually(what string, missing func() error) {
	c.t.Helper()
	for end := time.Now().Add(changeWait); ; time.Sleep(10 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not within %s: %s: %v", changeWait, what, err)
		}
	}
}

// alivePage is a broker as far as monitors see one.
type alivePage struct {
	address  string
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func startAlivePage(t *testing.T, address string) *alivePage {
	t.Helper()
	p := &alivePage{address: address}
	p.start(t)
	p.address = p.listener.Addr().String()
	t.Cleanup(p.stop)
	return p
}

func (p *alivePage) start(t *testing.T) {
	t.Helper()
	var err error
	if p.listener, err = net.Listen("tcp", p.address); err != nil {
		t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("CB_IS_OKAY")) })
	p.server = &http.Server{Handler: page, ReadHeaderTimeout: changeWait}
	server, listener, done := p.server, p.listener, make(chan struct{})
	p.done = done
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends with the listener
	}()
}

// stop ends the page, its connections too. Once more does nothing.
func (p *alivePage) stop() {
	_ = p.server.Close()
	<-p.done
}
