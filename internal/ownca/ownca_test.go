package ownca

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

func TestIssued(t *testing.T) {
	a, err := NewFolder(t.TempDir(), "test CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Issue("server", "cb.example.test", "127.0.0.1", "::1"); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(a.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		t.Fatal("the file of the authority has no certificate")
	}
	cert, key := a.Files("server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"cb.example.test", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("for %s: %v", host, err)
		}
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example.test"}); err == nil {
		t.Error("it is good for a name that it was not issued for")
	}
	if left := time.Until(pair.Leaf.NotAfter); left <= 0 || left > time.Hour {
		t.Errorf("it is good for %s", left)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
	if pair.Leaf.SerialNumber.Sign() <= 0 || pair.Leaf.SerialNumber.Cmp(a.Cert().SerialNumber) == 0 {
		t.Errorf("serial number %d", pair.Leaf.SerialNumber)
	}
}
