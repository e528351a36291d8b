package lb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

// errNoCertificate ends handshakes of a listener before its first table.
var errNoCertificate = errors.New("no certificate is loaded")

// pair is a listener's certificate: its files, what is in them, and which state of the files that
// is.
type pair struct {
	files Certificate
	cert  *tls.Certificate
	state [2]fileState
}

// fileState tells a file from a later one at its path.
type fileState struct {
	modified time.Time
	size     int64
	inode    uint64
}

// stateOf looks at both files. One that cannot be looked at has the zero state.
func (c Certificate) stateOf() (state [2]fileState) {
	for i, path := range []string{c.Cert, c.Key} {
		if info, err := os.Stat(path); err == nil {
			state[i] = fileState{info.ModTime(), info.Size(), inodeOf(info)}
		}
	}
	return state
}

// loadPair reads a pair. A fault is a problem at "cert" or "key". The state is taken first, so
// that a change while the files are read is seen as one.
func loadPair(files Certificate) (pair, error) {
	p := pair{files: files, state: files.stateOf()}
	cert, err := loadCertificate(files.Cert, files.Key)
	p.cert = cert
	return p, err
}

// certSet is the certificates of a listener, chosen by the name that a client asks for. It is
// immutable.
type certSet struct {
	pairs []pair // the default one first
	exact map[string][]*tls.Certificate
	wild  map[string][]*tls.Certificate // by suffix, without "*."
}

func newCertSet(pairs []pair) *certSet {
	s := &certSet{pairs: pairs, exact: make(map[string][]*tls.Certificate), wild: make(map[string][]*tls.Certificate)}
	for _, p := range pairs {
		for _, name := range certificateNames(p.cert) {
			name = normalHost(name)
			if suffix, wild := strings.CutPrefix(name, "*."); wild {
				s.wild[suffix] = append(s.wild[suffix], p.cert)
			} else {
				s.exact[name] = append(s.exact[name], p.cert)
			}
		}
	}
	return s
}

// certificateNames gives the DNS names of a certificate; one from before there were such names
// has its common name only.
func certificateNames(c *tls.Certificate) []string {
	if len(c.Leaf.DNSNames) == 0 && len(c.Leaf.IPAddresses) == 0 && c.Leaf.Subject.CommonName != "" {
		return []string{c.Leaf.Subject.CommonName}
	}
	return c.Leaf.DNSNames
}

// choose gives the certificate for a client: by its exact name, by a wildcard for one label (RFC
// 9525 6.3), else the default one. Where several have the name, as with keys of two kinds, the
// first one counts that the client can use.
func (s *certSet) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := normalHost(hello.ServerName)
	fit := s.exact[name]
	if _, suffix, more := strings.Cut(name, "."); len(fit) == 0 && more {
		fit = s.wild[suffix]
	}
	if len(fit) > 1 {
		for _, c := range fit {
			if hello.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	if len(fit) > 0 {
		return fit[0]
	}
	return s.pairs[0].cert
}

// compileCerts loads all pairs of a listener; nil for one without TLS.
func (l Listener) compileCerts() (*certSet, error) {
	if l.Cert == "" {
		return nil, nil
	}
	var list problem.List
	var pairs []pair
	for i, files := range append([]Certificate{{l.Cert, l.Key}}, l.Certificates...) {
		one, err := loadPair(files)
		path := ""
		if i > 0 {
			path = fmt.Sprintf("certificate[%d]", i-1)
		}
		list.Under(path, err)
		pairs = append(pairs, one)
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return newCertSet(pairs), nil
}

// certificate serves a TLS listener from what is loaded now, so that a reload changes it.
func (l *listener) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := l.certs.Load()
	if set == nil {
		return nil, errNoCertificate
	}
	return set.choose(hello), nil
}

// expiry tells when each certificate in use ends, by its file.
func (l *listener) expiry() map[string]time.Time {
	out := make(map[string]time.Time)
	if set := l.certs.Load(); set != nil {
		for _, p := range set.pairs {
			out[p.files.Cert] = p.cert.Leaf.NotAfter
		}
	}
	return out
}
