package realserver

import (
	"crypto/x509"
	"testing"
	"time"

	"switchpoint/internal/ownca"
)

// CA is a certificate authority made for one test.
type CA struct {
	CertFile string // its own certificate, PEM

	t      testing.TB
	folder *ownca.Folder
}

// NewCA makes a certificate authority whose files are removed when the test
// ends.
func NewCA(t testing.TB) *CA {
	t.Helper()
	return newCA(t, newRoot(t, "ca"))
}

func newCA(t testing.TB, dir string) *CA {
	t.Helper()
	folder, err := ownca.NewFolder(dir, "Switchpoint test CA", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{t: t, folder: folder, CertFile: folder.CAFile()}
}

// Issue writes a server certificate for hosts (names or addresses) and its
// key, both PEM, the key readable by its owner only. Without hosts it is valid
// for 127.0.0.1, ::1 and localhost. The name distinguishes the files of
// several certificates of one CA.
func (ca *CA) Issue(name string, hosts ...string) (certFile, keyFile string) {
	ca.t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "::1", "localhost"}
	}
	if err := ca.folder.Issue(name, hosts...); err != nil {
		ca.t.Fatal(err)
	}
	return ca.folder.Files(name)
}

// Pool returns a pool that trusts this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.folder.Cert())
	return pool
}
