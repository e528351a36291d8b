package api

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func FuzzDecodeLogin(f *testing.F) {
	f.Add([]byte(`{"user":"anna","password":"p","directory":"corp","client":{"name":"tc","version":"1"}}`))
	f.Add([]byte(`{"user":"anna"}{"user":"bert"}`))
	f.Add([]byte(`{"user":null,"password":[]}`))
	f.Add([]byte(`[[[[[[[[`))
	f.Add([]byte("user=anna"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var in LoginRequest
		err := decodeBody(strings.NewReader(string(body)), &in)
		if err != nil && (err.status != 400 || err.text == "") {
			t.Errorf("%q: %+v", body, err)
		}
		if err == nil && !json.Valid(body) {
			t.Errorf("%q is no JSON and was accepted", body)
		}
		if err != nil && len(in.Password) > 8 && strings.Contains(err.text, in.Password) {
			t.Errorf("the fault repeats the password: %s", err.text)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add("127.0.0.1:5", "198.51.100.1, 203.0.113.9")
	f.Add("[::1]:5", "fe80::1%eth0")
	f.Add("pipe", ",,,")
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, remote, header string) {
		got := forwarded(remote, []string{header}, trusted)
		if _, err := netip.ParseAddr(got); got != "" && err != nil {
			t.Errorf("%q, %q gave %q", remote, header, got)
		}
	})
}

// TestKeyPairReload: a renewed certificate is used without a restart, a broken one is not.
func TestKeyPairReload(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	if err := os.WriteFile(cert, []byte(testCert), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(testKey), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := newKeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	change := func(content string, at time.Time) {
		if err := os.WriteFile(cert, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(cert, at, at); err != nil {
			t.Fatal(err)
		}
		k.looked = time.Time{} // as if the second between two looks had passed
	}
	first := k.pair
	change("broken", time.Now().Add(time.Hour))
	if got, err := k.get(nil); err != nil || got != first {
		t.Errorf("a broken file replaced the certificate: %v, %v", got, err)
	}
	change(testCert, time.Now().Add(2*time.Hour))
	if got, err := k.get(nil); err != nil || got == first {
		t.Errorf("the renewed certificate is not used: %v", err)
	}
}

// A key pair that expired in 1970: only good for tests of loading.
const (
	testCert = `-----BEGIN CERTIFICATE-----
MIHtMIGToAMCAQICAQEwCgYIKoZIzj0EAwIwADAeFw03MDAxMDEwMDAwMDBaFw03
MDAxMDEwMDAwMDFaMAAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASH/lwxt5V3
sp58FDinG0Hk8aGWPK8HQ6MpqZaez+LCAMVyYxC6N4k6y5B7KhYbVsB1umKDjweG
kuLrrkSmEHUrMAoGCCqGSM49BAMCA0kAMEYCIQD3JpBJdOfillOBrQBbbgXu2TFa
tUort6ywL1qC7gH2uAIhAJx5fHKnFlDFUA+QczedAMXxQhLx8I+qmrsXaaiUDJFV
-----END CERTIFICATE-----
`
	testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYfrGzEwtg2mUqUqF
k0Vi0SWccfyMOUKtkNUk6u2Vmn+hRANCAASH/lwxt5V3sp58FDinG0Hk8aGWPK8H
Q6MpqZaez+LCAMVyYxC6N4k6y5B7KhYbVsB1umKDjweGkuLrrkSmEHUr
-----END PRIVATE KEY-----
`
)
