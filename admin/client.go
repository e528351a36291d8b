package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Client asks a running node over its Unix socket.
type Client struct {
	// Note takes the line that came with an answer; nil: it is dropped.
	Note   func(string)
	socket string
	http   *http.Client
}

// NewClient does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Do calls an operation below /admin/v1/ and decodes its answer into out (which may be nil).
func (c *Client) Do(ctx context.Context, method, path string, body []byte, out any) error {
	text, err := c.raw(ctx, method, "/admin/v1/"+path, body)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the node's answer: %w", err)
	}
	return nil
}

// Ready is nil when the node says that it serves.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.raw(ctx, http.MethodGet, "/readyz", nil)
	return err
}

// Metrics gives the node's metrics in Prometheus' text form.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.raw(ctx, http.MethodGet, "/metrics", nil)
}

func (c *Client) raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no node answers on %s (is it running, and may you open the socket?): %w", c.socket, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("read the node's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		failure := Error{Status: resp.StatusCode, Text: string(bytes.TrimSpace(text))}
		_ = json.Unmarshal(text, &failure)
		return nil, &failure
	}
	if note := resp.Header.Get(NoteHeader); note != "" && c.Note != nil {
		c.Note(note)
	}
	return text, nil
}
