package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"switchpoint/internal/keptfile"
)

const (
	keyFile    = "peer.key"
	maxKeyFile = 4 << 10
	pemType    = "PRIVATE KEY" // PKCS #8 (RFC 5958)
)

// Identity is the key of this node. Printing it prints the public half only.
type Identity struct{ private ed25519.PrivateKey }

// LoadIdentity reads peer.key in dir, the node's state directory, and makes it on first use. A
// key file that others can read is refused: whoever read it can be this node.
func LoadIdentity(dir string) (Identity, error) {
	path := filepath.Join(dir, keyFile)
	id, err := readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if err := createIdentity(dir, path); err != nil {
		return Identity{}, fmt.Errorf("make the peer key: %w", err)
	}
	return readIdentity(path) // of whoever was first, if another process did the same
}

// PublicKey is what the trust lists of other nodes hold: base64 of the 32 bytes.
func (id Identity) PublicKey() string {
	if id.private == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(id.private.Public().(ed25519.PublicKey))
}

// String is the public key, so that no log can hold the private one.
func (id Identity) String() string { return id.PublicKey() }

// GoString is String for %#v.
func (id Identity) GoString() string { return "peer.Identity(" + id.PublicKey() + ")" }

func readIdentity(path string) (Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return Identity{}, fmt.Errorf("open the peer key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Identity{}, fmt.Errorf("peer key: %w", err)
	case !info.Mode().IsRegular():
		return Identity{}, fmt.Errorf("peer key %s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return Identity{}, fmt.Errorf("peer key %s can be used by others (mode %#o); if nobody can have read it: chmod 600 %s, else remove it and have the new key trusted", path, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return Identity{}, fmt.Errorf("read the peer key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return Identity{}, fmt.Errorf("peer key %s is not a PEM file with a %s; restore it, or remove it and have the new key trusted", path, pemType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Identity{}, fmt.Errorf("peer key %s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return Identity{}, fmt.Errorf("peer key %s is not an Ed25519 key", path)
	}
	return Identity{private: private}, nil
}

// createIdentity writes a new key. The file appears complete or not at all, and never replaces
// one that is there.
func createIdentity(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, keyFile+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = pem.Encode(tmp, &pem.Block{Type: pemType, Bytes: der})
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return keptfile.SyncDir(dir)
}

// certificate wraps the key for TLS. Peers read nothing of it but the key.
func (id Identity) certificate(name string) (tls.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "switchpoint peer " + name},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, id.private.Public(), id.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the peer certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: id.private}, nil
}
