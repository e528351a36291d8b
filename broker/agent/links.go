package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Codes of refusals that the agent acts on.
const (
	codeEnrolRefused = "enrol-refused"
	codeUnknown      = "agent-unknown"
)

const dialTime = 3 * time.Second // of one address

// links are the ways to the brokers; the one at is in use.
type links struct {
	bases     []*url.URL
	at        int
	transport *http.Transport
	http      *http.Client
}

func newLinks(brokers []string, ca string) (*links, error) {
	l := &links{}
	for _, b := range brokers {
		u, err := baseURL(b)
		if err != nil {
			return nil, err
		}
		l.bases = append(l.bases, u)
	}
	var roots *x509.CertPool
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	l.at = rand.IntN(len(l.bases))
	l.transport = &http.Transport{
		DialContext: dialAny, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 16 << 10, IdleConnTimeout: 90 * time.Second,
		MaxIdleConns: 1, MaxConnsPerHost: 1,
	}
	l.http = &http.Client{Transport: l.transport, Timeout: exchangeTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return l, nil
}

func (l *links) close() { l.transport.CloseIdleConnections() }

// current is the broker in use, for the log.
func (l *links) current() string { return l.bases[l.at].Host }

// advance goes on to the next broker, over a new connection: the name may lead to another address.
func (l *links) advance() {
	l.transport.CloseIdleConnections()
	l.at = (l.at + 1) % len(l.bases)
}

// dialAny tries the addresses of a name in any order.
func dialAny(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	d := net.Dialer{Timeout: dialTime}
	var failures []error
	for _, a := range addrs {
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(a, port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// refusedError is a broker's "no".
type refusedError struct {
	code, text string
	retry      time.Duration
}

func (e *refusedError) Error() string { return "refused (" + e.code + "): " + e.text }

// call is one exchange with the broker in use.
func (l *links) call(ctx context.Context, path, key string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.bases[l.at].String()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return decodeAnswer(resp.StatusCode, text, out)
}

// decodeAnswer reads an answer of a broker, or of something in front of it.
func decodeAnswer(status int, text []byte, out any) error {
	if len(text) > MaxBody {
		return fmt.Errorf("status %d and an answer of more than %d bytes", status, MaxBody)
	}
	if status != http.StatusOK {
		var no Refusal
		if err := json.Unmarshal(text, &no); err != nil || no.Reason.Code == "" || !line(no.Reason.Code) || !line(no.Reason.Text) {
			return fmt.Errorf("status %d without a reason", status)
		}
		return &refusedError{no.Reason.Code, no.Reason.Text, seconds(no.Reason.RetryAfter, 0)}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return errors.New("the answer is not what an agent expects")
	}
	switch o := out.(type) {
	case *EnrolResponse:
		if o.Key == "" || len(o.Key) > maxKey || !line(o.Desktop) {
			return errors.New("the answer has no key")
		}
	case *HeartbeatResponse:
		if o.Reset != nil && (o.Reset.ID == "" || !line(o.Reset.ID) || o.Reset.Age < 0) {
			return errors.New("the answer asks for a reset without an id")
		}
	}
	return nil
}
