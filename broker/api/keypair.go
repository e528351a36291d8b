package api

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// lookEvery bounds how often the files are looked at.
const lookEvery = time.Second

// keyPair is a certificate from files that is read again when they change. While a changed pair
// does not load (a renewal that is half written), the old one serves.
type keyPair struct {
	cert, key string

	mu     sync.Mutex // protects all that follows
	pair   *tls.Certificate
	stamp  [2]time.Time
	looked time.Time
}

func newKeyPair(cert, key string) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key}
	stamp, err := k.stamps()
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with key %s: %w", cert, key, err)
	}
	k.pair, k.stamp, k.looked = &pair, stamp, time.Now()
	return k, nil
}

func (k *keyPair) stamps() (s [2]time.Time, err error) {
	for i, name := range []string{k.cert, k.key} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s[i] = info.ModTime()
	}
	return s, nil
}

// get is for tls.Config.GetCertificate.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < lookEvery {
		return k.pair, nil
	}
	k.looked = time.Now()
	stamp, err := k.stamps()
	if err != nil || stamp == k.stamp {
		return k.pair, nil
	}
	if pair, err := tls.LoadX509KeyPair(k.cert, k.key); err == nil {
		k.pair, k.stamp = &pair, stamp
	}
	return k.pair, nil
}
