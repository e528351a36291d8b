package api

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery bounds how often the files are looked at.
const lookEvery = time.Second

// keyPair is a certificate from files that is read again when they change. While a changed pair
// does not load (a renewal that is half written), the old one serves and the log says so once.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex // protects all that follows
	pair   *tls.Certificate
	stamp  [2]time.Time
	told   [2]time.Time // the stamp of the pair whose fault stands in the log
	looked time.Time
}

func newKeyPair(cert, key string, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key, log: log}
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
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	switch {
	case err == nil:
		k.pair, k.stamp = &pair, stamp
		k.log.Info("certificate renewed", "cert", k.cert)
	case stamp != k.told:
		k.told = stamp
		k.log.Warn("the changed certificate does not load; the old one serves", "cert", k.cert, "key", k.key, "error", err)
	}
	return k.pair, nil
}
