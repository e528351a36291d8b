package logins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"switchpoint/bench/adminsocket"
	"switchpoint/bench/progress"
)

// startWait is how long a chain may take until it serves.
const startWait = 90 * time.Second

// chainSpec says what stands between the clients and the servers of the stage.
type chainSpec struct {
	brokers   int
	sqlite    bool     // the embedded database in place of PostgreSQL
	alone     bool     // no gtm and no lb: clients ask the brokers themselves
	plain     bool     // with alone: brokers speak HTTP without TLS
	spread    bool     // lb keeps no client at its broker
	directory string   // URL in place of the stage's slapd
	desktops  int      // pooled ones
	owned     int      // users, from the first, with a desktop of their own
	postgres  string   // host:port at which the brokers find the database server; empty: its own
	outage    string   // lines of [broker.outage]
	env       []string // of the brokers
}

// chain is gtm, lb and brokers as processes, on a database of its own.
type chain struct {
	stage    *stage
	spec     chainSpec
	dir      string
	database string

	dnsAddr, lbAddr string
	brokerAddrs     []string
	gtm, lb         *process // nil with spec.alone
	brokers         []*process
}

// startChain makes a database and starts the processes; all of them serve when it returns.
func (s *stage) startChain(ctx context.Context, bar *progress.Bar, spec chainSpec) (*chain, error) {
	s.n++
	if spec.directory == "" {
		spec.directory = s.ldap.URL()
	}
	c := &chain{stage: s, spec: spec, database: fmt.Sprintf("chain%d", s.n)}
	c.dir = s.file(c.database)
	err := c.prepare(ctx)
	if err == nil {
		bar.Say("starting gtm, lb and brokers")
		err = c.start(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *chain) file(name string) string  { return filepath.Join(c.dir, name) }
func (c *chain) state(node string) string { return filepath.Join(c.dir, "state", node) }

// socket is the admin socket of a node.
func (c *chain) socket(node string) string { return filepath.Join(c.state(node), "admin.sock") }

func (c *chain) prepare(ctx context.Context) error {
	addrs, err := c.stage.ports(2 + c.spec.brokers)
	if err != nil {
		return err
	}
	c.dnsAddr, c.lbAddr, c.brokerAddrs = addrs[0], addrs[1], addrs[2:]
	files := map[string]string{"home.broker.toml": c.setup()}
	if !c.spec.alone {
		files["gtm.toml"], files["lb.toml"] = c.gtmConfig(), c.lbConfig()
	}
	for i := range c.brokerAddrs {
		files[brokerName(i)+".toml"] = c.brokerConfig(i)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if c.spec.sqlite {
		return nil
	}
	_, err = c.stage.pg.SQL(ctx, "postgres", "CREATE DATABASE "+c.database+" OWNER switchpoint")
	return err
}

// start starts brokers first, so that the first check of those who watch them finds them.
func (c *chain) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for i := range c.brokerAddrs {
		p, err := c.launch(brokerName(i), c.spec.env)
		if err != nil {
			return err
		}
		c.brokers = append(c.brokers, p)
		if i == 0 { // it makes the tables, and fills them
			if err := c.ready(ctx, p); err != nil {
				return err
			}
		}
	}
	for _, p := range c.brokers {
		if err := c.ready(ctx, p); err != nil {
			return err
		}
	}
	if c.spec.alone {
		return nil
	}
	for name, at := range map[string]**process{"lb": &c.lb, "gtm": &c.gtm} {
		p, err := c.launch(name, nil)
		if err != nil {
			return err
		}
		*at = p
	}
	return errors.Join(c.ready(ctx, c.lb), c.ready(ctx, c.gtm), c.answers(ctx))
}

func (c *chain) launch(node string, env []string) (*process, error) {
	return launch(node, c.stage.log(node), false, env, c.stage.self, "run", "--until-eof", "-c", c.file(node+".toml"))
}

// ready waits until a node says that it serves.
func (c *chain) ready(ctx context.Context, p *process) error {
	return await(ctx, p, func() error { return adminsocket.Get(ctx, c.socket(p.name), "/readyz", io.Discard) })
}

// answers waits until gtm gives the balancer's address, and the balancer finds a broker alive.
func (c *chain) answers(ctx context.Context) error {
	host, _, _ := net.SplitHostPort(c.lbAddr) // ports has made it
	err := await(ctx, c.gtm, func() error {
		got, err := resolve(netip.Addr{}, c.dnsAddr, steered, time.Second)
		if err == nil && got.String() != host {
			err = fmt.Errorf("%s is %s, want %s", steered, got, host)
		}
		return err
	})
	if err != nil {
		return err
	}
	return await(ctx, c.lb, func() error { return c.alive(ctx, c.lbAddr) })
}

// alive asks for the is_alive page over HTTPS.
func (c *chain) alive(ctx context.Context, addr string) error {
	status, err := c.askAlive(ctx, addr)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("is_alive answers %d", status)
	}
	return err
}

func (c *chain) askAlive(ctx context.Context, addr string) (status int, err error) {
	roots, err := rootsOf(c.stage.ca.CAFile())
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/index.pl?action=is_alive", http.NoBody)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

func rootsOf(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return roots, nil
}

// await repeats a question until it is answered, the process ends, or ctx does.
func await(ctx context.Context, p *process, ask func() error) error {
	for {
		why := ask()
		if why == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.fault(errors.New("ended when it was started"))
		case <-ctx.Done():
			return p.fault(fmt.Errorf("did not come up: %w", why))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// close ends the processes in the order of a request, so that none complains about the next one; the
// brokers all at once.
func (c *chain) close() {
	for _, p := range []*process{c.gtm, c.lb} {
		if p != nil {
			p.stop()
		}
	}
	for _, p := range c.brokers {
		_ = p.stdin.Close()
	}
	for _, p := range c.brokers {
		p.stop()
	}
}
