package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"switchpoint/internal/ownca"
)

const demoValidity = 30 * 24 * time.Hour

// newAuthority makes the demo's CA and writes its certificate to dir/ca.pem.
func newAuthority(dir string) (*ownca.Folder, error) {
	return ownca.NewFolder(dir, "Switchpoint demo CA", demoValidity)
}

// serverTLS is what a server of the demo presents.
func serverTLS(cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
