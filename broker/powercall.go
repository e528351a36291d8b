package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"switchpoint/internal/secret"
)

// call asks for the start of a desktop. The text says what was done, without secrets.
func (p Power) call(ctx context.Context, d StartTarget) (string, error) {
	if p.Kind == PowerWOL {
		return p.wake(ctx, d)
	}
	return p.ask(ctx, d)
}

// ask makes the request. A redirect is not followed: it would take the secret to where nobody has sent it.
func (p Power) ask(ctx context.Context, d StartTarget) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	target, err := p.target(d)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, p.Method, target, nil)
	if err != nil {
		return "", errors.New("the url is not usable")
	}
	if p.Bearer != "" {
		token, err := secret.Read(p.Bearer)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	roots, err := centerRoots(p.CA)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // what it says does not count
	if !slices.Contains(p.Expect, resp.StatusCode) {
		return "", fmt.Errorf("it answers %s", clip(resp.Status))
	}
	return "it answers " + clip(resp.Status), nil
}

const (
	wakePackets = 3 // datagrams get lost
	wakeRepeats = 16
)

// wake sends magic packets: six bytes of ones and then the MAC address sixteen times (AMD, Magic
// Packet Technology, publication 20213).
func (p Power) wake(ctx context.Context, d StartTarget) (string, error) {
	mac, err := net.ParseMAC(d.MAC)
	if err != nil {
		return "", errors.New("the inventory has no MAC address of it")
	}
	packet := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, wakeRepeats)...)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", p.Broadcast)
	if err != nil {
		return "", fmt.Errorf("send to %s: %w", p.Broadcast, err)
	}
	defer conn.Close()
	for range wakePackets {
		if _, err := conn.Write(packet); err != nil {
			return "", fmt.Errorf("send to %s: %w", p.Broadcast, err)
		}
	}
	return fmt.Sprintf("%d magic packets for %s were sent to %s", wakePackets, d.MAC, p.Broadcast), nil
}
