package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker/api"
	"switchpoint/directory/demodir"
)

// Pace of the thin clients of the cluster story.
const (
	storyClients  = 20
	refreshEvery  = 100 * time.Millisecond
	newcomerEvery = 200 * time.Millisecond
	retryAfter    = 100 * time.Millisecond
	giveUpAfter   = 20 * time.Second
)

// crowd is thin clients at work: some sign in once and go on asking for their desktops, and time and
// again somebody new signs in. A request that gets no answer, or that of a server in trouble, is sent
// again, as a thin client does; whatever else is no success is a failure.
type crowd struct {
	url    string
	roots  *x509.CertPool
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	counts map[string]*requestCount // "sign-in", "offers"
	served map[string]int           // answers by the name of the broker
	failed []error
}

// requestCount is what became of one kind of request.
type requestCount struct {
	done, retried int
	slowest       time.Duration
}

// startCrowd lets the clients begin; it returns when all of them have signed in.
func startCrowd(ctx context.Context, url, ca string) (*crowd, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &crowd{url: url, roots: x509.NewCertPool(), cancel: cancel, counts: map[string]*requestCount{}, served: map[string]int{}}
	c.roots.AppendCertsFromPEM(pem)
	var signedIn sync.WaitGroup
	for i := range storyClients {
		signedIn.Add(1)
		c.wg.Go(func() { c.stay(ctx, i, signedIn.Done) })
	}
	c.wg.Go(func() { c.newcomers(ctx) })
	signedIn.Wait()
	return c, c.trouble()
}

// stop lets the clients end and says what went wrong for any of them.
func (c *crowd) stop() error {
	c.cancel()
	c.wg.Wait()
	return c.trouble()
}

func (c *crowd) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.failed...)
}

// servedBy is how many requests the broker with that name has answered.
func (c *crowd) servedBy(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served[name]
}

// total is what has been counted of a kind of request.
func (c *crowd) total(kind string) requestCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.counts[kind]; n != nil {
		return *n
	}
	return requestCount{}
}

// thinClient is a client with an address of its own: the balancer knows clients without a session
// again by it.
func (c *crowd) thinClient(n int) *http.Client {
	own := netip.AddrFrom4([4]byte{127, 4, byte(n / 250), byte(1 + n%250)})
	d := net.Dialer{Timeout: 2 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, 0))}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: d.DialContext, TLSClientConfig: &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12},
	}}
}

// stay signs in once and asks for the desktops until the end.
func (c *crowd) stay(ctx context.Context, n int, signedIn func()) {
	client := c.thinClient(n)
	defer client.CloseIdleConnections()
	token, err := c.signIn(ctx, client, n)
	signedIn()
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshEvery):
		}
		var res api.OffersResponse
		if err = c.send(ctx, client, "offers", http.MethodGet, "/api/v1/offers", token, nil, &res); err == nil && ctx.Err() == nil {
			if len(res.Offers) == 0 {
				err = errors.New("signed in, but nothing is offered any more")
			}
			c.answered(res.Broker.Name)
		}
	}
	c.fail(ctx, fmt.Errorf("client %d: %w", n, err))
}

// newcomers sign in, one after the other.
func (c *crowd) newcomers(ctx context.Context) {
	for n := storyClients; ; n++ {
		client := c.thinClient(n)
		_, err := c.signIn(ctx, client, n)
		client.CloseIdleConnections()
		if err != nil {
			c.fail(ctx, fmt.Errorf("newcomer %d: %w", n, err))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(newcomerEvery):
		}
	}
}

func (c *crowd) signIn(ctx context.Context, client *http.Client, n int) (token string, err error) {
	users := demodir.Users()
	u := users[n%len(users)]
	body, err := json.Marshal(api.LoginRequest{User: u.Name, Password: u.Password, Client: api.Client{Name: "demo"}}) //nolint:gosec // G117: a sign-in carries the password
	if err != nil {
		return "", err
	}
	var res api.LoginResponse
	if err := c.send(ctx, client, "sign-in", http.MethodPost, "/api/v1/login", "", body, &res); err != nil {
		return "", err
	}
	if res.Token == "" && ctx.Err() == nil {
		return "", fmt.Errorf("the login of %s ended with %q", u.Name, res.Result)
	}
	c.answered(res.Broker.Name)
	return res.Token, nil
}

// send sends a request until it is answered. A login carries a key by which every broker knows it
// again, so that one that was recorded before its broker died is not recorded twice (LG4).
func (c *crowd) send(ctx context.Context, client *http.Client, kind, method, path, token string, body []byte, out any) error {
	began, tries, key := time.Now(), 0, uuid.NewString()
	for {
		status, err := c.try(ctx, client, method, path, token, key, body, out)
		tries++
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && status == http.StatusOK:
			c.count(kind, tries-1, time.Since(began))
			return nil
		case err == nil && status != http.StatusBadGateway && status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout:
			return fmt.Errorf("%s was answered with status %d", kind, status)
		case time.Since(began) > giveUpAfter:
			return fmt.Errorf("%s found no answer in %s: status %d, %w", kind, giveUpAfter, status, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryAfter):
		}
	}
}

func (c *crowd) try(ctx context.Context, client *http.Client, method, path, token, key string, body []byte, out any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, out)
	}
	return res.StatusCode, err
}

func (c *crowd) count(kind string, retried int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[kind] == nil {
		c.counts[kind] = &requestCount{}
	}
	n := c.counts[kind]
	n.done++
	n.retried += retried
	n.slowest = max(n.slowest, took)
}

func (c *crowd) answered(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served[name]++
}

func (c *crowd) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it has ended with the others
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = append(c.failed, err)
}
