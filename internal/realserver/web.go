package realserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// takeAddresses gives the addresses of a server that listens on two ports.
func takeAddresses(ports func() (int, error)) (plain, secure string, err error) {
	one, errOne := ports()
	other, errOther := ports()
	return local(one), local(other), errors.Join(errOne, errOther)
}

// writeAll writes the configuration of a server into its root directory, which becomes the server's
// with all that is in it.
func (s *server) writeAll(root, file, text string) error {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return s.proc.owner.own(root)
}

// tokenPage asks a web server for a page that only our own server has: its path and its content are
// the token.
func tokenPage(ctx context.Context, addr, token string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/"+token, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask for the token: %w", err)
	}
	req.Close = true
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	if string(body) != token {
		return errors.New("somebody else answers on the port")
	}
	return nil
}
