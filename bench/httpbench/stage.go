package httpbench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names of the files that the upstream serves.
const (
	smallFile = "/1k"
	largeFile = "/64k"
	postPath  = "/post"
	alivePath = "/alive"
)

// serverName is what the certificate of all servers is for.
const serverName = "bench.test"

// startWait is how long a server may take until it answers.
const startWait = 15 * time.Second

// stage is the temporary directory, the certificate, the upstream and the proxies of a run.
type stage struct {
	dir                 string
	self                string // our own binary
	proxyCore, loadCore int
	descriptors         uint64
	upstream            *server
	members             [2]string // the addresses of the upstream
	source              string    // what tcp mode forwards to
	cert, key           string
	proxies             []*server
	roles               []*process
	n                   int // of logs
}

// server is one program that listens, and how to start it anew.
type server struct {
	name                   string
	plain, secure, streams string // ip:port; streams is empty where tcp mode is not there
	config                 string // file
	socket                 string // admin socket of ours
	env, argv              []string
	core                   int
	proc                   *process
}

// newStage makes files and finds ports; nothing runs yet.
func newStage(self string) (*stage, error) {
	usable := cores()
	if len(usable) == 0 {
		usable = []int{0}
	}
	s := &stage{self: self, proxyCore: usable[0], loadCore: usable[len(usable)-1]}
	var err error
	if s.descriptors, err = raiseDescriptors(); err != nil {
		return nil, fmt.Errorf("read the limit of open files: %w", err)
	}
	if s.dir, err = os.MkdirTemp("", "switchpoint-bench-"); err != nil {
		return nil, err
	}
	s.cert, s.key = s.file("cert.pem"), s.file("key.pem")
	if err := s.prepare(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) prepare() error {
	if err := issue(s.cert, s.key); err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	root := s.file("www")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	for name, size := range map[string]int{smallFile: 1 << 10, largeFile: 64 << 10} {
		text := []byte(strings.Repeat("x", size))
		if err := os.WriteFile(root+name, text, 0o644); err != nil { //nolint:gosec // G306: as above
			return err
		}
	}
	return os.Chmod(s.dir, 0o755) //nolint:gosec // G302: as above; it holds nothing secret
}

// issue writes a P-256 certificate that all servers use.
func issue(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	err = os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return errors.Join(err, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
}

// ports finds free ports and gives them as addresses. All are held while they are looked for, so
// they differ.
func ports(n int) ([]string, error) {
	var open []net.Listener
	defer func() {
		for _, l := range open {
			_ = l.Close()
		}
	}()
	out := make([]string, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		out[i] = l.Addr().String()
	}
	return out, nil
}

// close ends every process and removes the files.
func (s *stage) close() {
	for _, r := range s.roles {
		r.stop()
	}
	for _, v := range append(slices.Clone(s.proxies), s.upstream) {
		if v != nil && v.proc != nil {
			v.proc.stop()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// start starts a server, or starts it anew, and waits until it answers.
func (s *stage) start(ctx context.Context, v *server) error {
	if v.proc != nil {
		v.proc.stop()
		v.proc = nil
	}
	proc, err := launch(v.name, s.file(v.name+".log"), v.core, false, v.env, v.argv...)
	if err != nil {
		return err
	}
	v.proc = proc
	deadline := time.Now().Add(startWait)
	for {
		err := ask(ctx, v.plain+smallFile, 1<<10)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case proc.ended():
			return proc.fault(errors.New("ended when it was started"))
		case time.Now().After(deadline):
			return proc.fault(fmt.Errorf("did not answer within %s: %w", startWait, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask fetches a page of the upstream once.
func ask(ctx context.Context, page string, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+page, http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || n != size) {
		err = fmt.Errorf("answer %d with %d bytes", res.StatusCode, n)
	}
	return err
}

// role starts a client, or the source of tcp mode, as a process of our own binary.
func (s *stage) role(t task) (*process, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	s.n++
	p, err := launch(t.Role, s.file(fmt.Sprintf("role-%d.log", s.n)), s.loadCore, true, nil, s.self, "bench", "http", "--task", string(text))
	if err == nil {
		s.roles = append(s.roles, p)
	}
	return p, err
}

// result runs a role to its end and reads what it prints.
func (s *stage) result(t task, to any) error {
	p, err := s.role(t)
	if err != nil {
		return err
	}
	defer s.end(p)
	return p.read(to)
}

// end stops a role.
func (s *stage) end(p *process) {
	p.stop()
	s.roles = slices.DeleteFunc(s.roles, func(r *process) bool { return r == p })
}
