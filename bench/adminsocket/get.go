package adminsocket

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

const maxWhy = 200 // of what is said to a question that is refused

// Get asks the admin socket of a node for a path, and writes the answer to to.
func Get(ctx context.Context, socket, path string, to io.Writer) error {
	return Call(ctx, socket, http.MethodGet, path, to)
}

// Call is Get with a method of HTTP.
func Call(ctx context.Context, socket, method, path string, to io.Writer) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the admin socket: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, maxWhy)) // the status says enough
		return fmt.Errorf("the admin socket answers %s to %s: %s", res.Status, path, bytes.TrimSpace(why))
	}
	_, err = io.Copy(to, res.Body)
	return err
}
