package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"switchpoint/internal/secret"
)

// readCenter reads what a center lists, within its time-out.
func (b *Broker) readCenter(ctx context.Context, c Center) (Inventory, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	switch {
	case c.Kind == CenterAD:
		return b.readComputers(ctx, c)
	case c.CSV != "":
		return parseCSV(strings.NewReader(c.CSV), c.Fields)
	}
	body, err := fetchInventory(ctx, c)
	if err != nil {
		return Inventory{}, err
	}
	defer body.Close()
	if c.Kind == CenterCSV {
		return parseCSV(body, c.Fields)
	}
	return parseJSON(body, c.Items, c.Fields)
}

func (b *Broker) readComputers(ctx context.Context, c Center) (Inventory, error) {
	d, ok := b.table.Load().directory(c.Directory)
	if !ok {
		return Inventory{}, fmt.Errorf("there is no directory %q", c.Directory)
	}
	attributes := []string{"userAccountControl"}
	c.Fields.each(func(_, source string) {
		if source != "" {
			attributes = append(attributes, source)
		}
	})
	entries, err := d.client.List(ctx, c.Base, c.Filter, attributes)
	if err != nil {
		return Inventory{}, err
	}
	return computers(entries, c.Fields)
}

// fetchInventory opens the URL of a center. A redirect is not followed: it would take the secret, and
// this broker, to where nobody has sent them.
func fetchInventory(ctx context.Context, c Center) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return nil, errors.New("the url is not usable")
	}
	req.Header.Set("Accept", "application/json, text/csv;q=0.9")
	if c.Bearer != "" {
		token, err := secret.Read(c.Bearer)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	roots, err := centerRoots(c.CA)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true, // one request every quarter of an hour
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the source answers %s", clip(resp.Status))
	}
	return &boundedBody{ReadCloser: resp.Body, left: maxInventory}, nil
}

// withoutURL drops the URL from an error: its query may hold a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// centerRoots reads the authorities of a center; nil are the system's.
func centerRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return roots, nil
}

// boundedBody fails a read beyond its bound: what is cut off would look like vanished desktops.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the inventory is larger than %d MiB", maxInventory>>20)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
