package logins

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// adminGet asks the admin socket of a node.
func adminGet(ctx context.Context, socket, path string, to io.Writer) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the admin socket: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the admin socket answers %s to %s", res.Status, path)
	}
	_, err = io.Copy(to, res.Body)
	return err
}

// readMetrics gives the samples without labels of a node's metrics page.
func readMetrics(ctx context.Context, socket string) (map[string]float64, error) {
	var page bytes.Buffer
	if err := adminGet(ctx, socket, "/metrics", &page); err != nil {
		return nil, err
	}
	return parseMetrics(&page), nil
}

// parseMetrics reads the text form of Prometheus; what is no sample is left out.
func parseMetrics(page io.Reader) map[string]float64 {
	out := make(map[string]float64)
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] = v
		}
	}
	return out
}
