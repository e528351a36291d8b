package conformance

import (
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"switchpoint/internal/ownca"
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
	root, err := ownca.New("Switchpoint conformance CA", certLife)
	if err != nil {
		return pair, nil, err
	}
	leaf, private, err := root.Pair(name, name)
	if err != nil {
		return pair, nil, err
	}
	if pair, err = tls.X509KeyPair(slices.Concat(leaf, root.PEM()), private); err != nil {
		return pair, nil, fmt.Errorf("make a certificate: %w", err)
	}
	return pair, root.PEM(), nil
}
