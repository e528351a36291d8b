package lb

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"

	"switchpoint/internal/problem"
)

// loadCertificate reads a listener's chain and key. A fault is a problem at "cert" or "key".
func loadCertificate(cert, key string) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(cert)
	if err != nil {
		return nil, problem.Problem{Path: "cert", What: "cannot read the certificate: " + err.Error(), Cure: "name a readable PEM file"}
	}
	keyPEM, err := os.ReadFile(key)
	if err != nil {
		return nil, problem.Problem{Path: "key", What: "cannot read the private key: " + err.Error(), Cure: "name a PEM file that this process may read"}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, problem.Problem{Path: "cert", What: cert + ": " + err.Error(), Cure: "give the PEM chain, the server's own certificate first, with the key that belongs to it"}
	}
	if pair.Leaf == nil { // GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, problem.Problem{Path: "cert", What: cert + ": " + err.Error(), Cure: "give the PEM chain, the server's own certificate first"}
		}
	}
	return &pair, nil
}

// loadRoots reads the PEM roots that a pool trusts, with a fingerprint of the file.
func loadRoots(file string) (*x509.CertPool, string, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, "", problem.Problem{Path: "ca", What: "cannot read the CA file: " + err.Error(), Cure: "name a readable PEM file"}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, "", problem.Problem{Path: "ca", What: file + " holds no PEM certificate", Cure: "give the roots as PEM"}
	}
	sum := sha256.Sum256(pem)
	return roots, hex.EncodeToString(sum[:]), nil
}
