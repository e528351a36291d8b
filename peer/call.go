package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	defaultCall = 10 * time.Second // for a context without a deadline
	dialTimeout = 5 * time.Second
	maxConns    = 32 // to one peer
)

// client calls one peer at one address.
type client struct {
	address string
	http    *http.Client
}

// Call asks the peer of that name and gives its answer. The error is ErrUnknownPeer,
// ErrUnreachable, ErrTooLarge, a RemoteError, or the cancellation of ctx. It is not tried again.
func (n *Node) Call(ctx context.Context, name, method string, body []byte) ([]byte, error) {
	start := time.Now()
	out, err := n.call(ctx, name, method, body)
	n.metrics.observe("out", method, start, callCode(err))
	return out, err
}

func (n *Node) call(ctx context.Context, name, method string, body []byte) ([]byte, error) {
	p, ok := n.table.Load().byName[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %q", ErrUnknownPeer, name)
	case p.Address == "":
		return nil, fmt.Errorf("%w: %s has no address", ErrUnreachable, name)
	case !validMethod(method):
		return nil, fmt.Errorf("peer: %q is no method", method)
	case len(body) > maxBody:
		return nil, fmt.Errorf("call %s of %s: %w", method, name, ErrTooLarge)
	}
	c, ok := n.enter(p)
	if !ok {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errStopped)
	}
	defer n.calls.Done()
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultCall)
		defer cancel()
	}
	exchangeCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.stopped, cancel)()
	out, err := c.exchange(exchangeCtx, method, body)
	if _, answered := errors.AsType[*RemoteError](err); err == nil || answered {
		return out, err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, fmt.Errorf("call %s of %s: %w", method, name, ctx.Err())
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, name, err)
}

// enter counts the call and gives the client for the peer, unless the node has stopped.
func (n *Node) enter(p pinned) (*client, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped.Err() != nil {
		return nil, false
	}
	n.calls.Add(1)
	c := n.clients[p.key]
	if c == nil || c.address != p.Address {
		if c != nil {
			c.http.CloseIdleConnections()
		}
		c = n.newClient(p)
		n.clients[p.key] = c
	}
	return c, true
}

func (n *Node) newClient(p pinned) *client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &client{address: p.Address, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        n.clientTLS(p.key),
			TLSHandshakeTimeout:    dialTimeout,
			Protocols:              protocols, // a stuck connection must not hold the calls of others
			MaxConnsPerHost:        maxConns,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second, // below the listener's 2 min
			DisableCompression:     true,
			MaxResponseHeaderBytes: 8 << 10,
		},
	}}
}

// clientTLS accepts one key only. The ordinary verification is off because there is no authority
// and no name to verify; VerifyConnection, which always runs, takes its place.
func (n *Node) clientTLS(want key) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{n.cert},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks the one pinned key instead
		ServerName:         "switchpoint.peer",
		VerifyConnection: func(state tls.ConnectionState) error {
			if k, ok := peerKey(&state); !ok || k != want {
				return ErrWrongKey
			}
			return nil
		},
	}
}

// exchange is one request and its answer.
func (c *client) exchange(ctx context.Context, method string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.address+prefix+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(out) > maxBody:
		return nil, ErrTooLarge
	case resp.StatusCode == http.StatusOK:
		return out, nil
	}
	return nil, decodeFault(resp.StatusCode, out)
}

// decodeFault reads the error that a peer answered with.
func decodeFault(status int, body []byte) *RemoteError {
	var fault RemoteError
	if err := json.Unmarshal(body, &fault); err != nil || fault.Code == "" {
		return &RemoteError{Code: CodeInternal, Text: fmt.Sprintf("HTTP status %d without a reason", status)}
	}
	return fault.bounded()
}

func callCode(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrUnknownPeer):
		return "unknown-peer"
	case errors.Is(err, ErrUnreachable):
		return "unreachable"
	case errors.Is(err, ErrTooLarge):
		return CodeTooLarge
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	if fault, ok := errors.AsType[*RemoteError](err); ok {
		return faultCode(fault)
	}
	return "error"
}
