package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(dir)
	if err != nil || again.PublicKey() != first.PublicKey() {
		t.Fatalf("the second start has another key, or %v", err)
	}
	if b, err := base64.StdEncoding.DecodeString(first.PublicKey()); err != nil || len(b) != 32 {
		t.Errorf("PublicKey is %q", first.PublicKey())
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file is %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the state directory holds %v, %v", files, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, first); strings.TrimSuffix(strings.TrimPrefix(s, "peer.Identity("), ")") != first.PublicKey() {
			t.Errorf("%s prints %q", format, s)
		}
	}
}

func TestLoadIdentityAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		wg.Go(func() {
			id, err := LoadIdentity(dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = id.PublicKey()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatalf("several keys: %q", keys)
		}
	}
}

func TestLoadIdentityRefuses(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	good := t.TempDir()
	if _, err := LoadIdentity(good); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(good, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		mode os.FileMode
		want string
	}{
		"readable by the group": {key, 0o640, "can be used by others"},
		"readable by all":       {key, 0o604, "can be used by others"},
		"empty":                 {nil, 0o600, "not a PEM file"},
		"junk":                  {[]byte("junk"), 0o600, "not a PEM file"},
		"junk in PEM":           {pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte("x")}), 0o600, "asn1"},
		"not Ed25519":           {pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), 0o600, "not an Ed25519 key"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, keyFile)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(c.data) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}
