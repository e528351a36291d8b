package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certLife is how long a certificate that was made here is good.
const certLife = 30 * 24 * time.Hour

// certificateFor reads the pair of files, or makes one for the name and the CA that vouches for it.
func certificateFor(name, cert, key string) (pair tls.Certificate, ca []byte, err error) {
	if cert != "" || key != "" {
		if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
			return pair, nil, fmt.Errorf("read certificate: %w", err)
		}
		return pair, nil, nil
	}
	root := template("Switchpoint conformance CA")
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	rootKey, rootDER, err := issue(root, root, nil)
	if err != nil {
		return pair, nil, fmt.Errorf("make a CA: %w", err)
	}
	leaf := template(name)
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(name); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{name}
	}
	leafKey, leafDER, err := issue(leaf, root, rootKey)
	if err != nil {
		return pair, nil, fmt.Errorf("make a certificate: %w", err)
	}
	pair = tls.Certificate{Certificate: [][]byte{leafDER, rootDER}, PrivateKey: leafKey}
	return pair, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), nil
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(random(16)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certLife),
	}
}

// issue makes a key and its certificate, signed by parent; parentKey nil: by itself.
func issue(c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	return key, der, err
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
