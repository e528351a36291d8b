package ldapserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"switchpoint/bench/ldapserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is one that the server's user can enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "switchpoint-slapd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// options with a certificate that is its own authority.
func options(t *testing.T) ldapserver.Options {
	t.Helper()
	dir := folder(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	o := ldapserver.Options{
		Dir: filepath.Join(dir, "slapd"), Addr: "127.0.0.1:0", CA: filepath.Join(dir, "cert"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"),
		Password: "it's one", Users: 7,
	}
	for name, block := range map[string]*pem.Block{o.Cert: {Type: "CERTIFICATE", Bytes: der}, o.Key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestServer(t *testing.T) {
	o := options(t)
	s, err := ldapserver.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	roots := x509.NewCertPool()
	text, err := os.ReadFile(o.CA)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	open := func(dn, password string) (*ldap.Conn, error) {
		c, err := ldap.DialURL(s.URL(), ldap.DialWithTLSConfig(tlsOf(roots)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c, c.Bind(dn, password)
	}
	c, err := open(ldapserver.Service, o.Password)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Search(ldap.NewSearchRequest(ldapserver.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(uid=*)", nil, nil))
	if err != nil || len(res.Entries) != o.Users {
		t.Fatalf("%v, %v", res, err)
	}
	for _, e := range res.Entries {
		if e.GetAttributeValue("userPassword") != "" {
			t.Errorf("the password of %s is shown", e.DN)
		}
	}
	last := o.Users - 1
	if e := res.Entries[last]; e.GetAttributeValue("uid") != ldapserver.UserName(last) || e.GetAttributeValue("mail") == "" {
		t.Errorf("%v", e)
	}
	if _, err := open(res.Entries[last].DN, ldapserver.UserPassword(last)); err != nil {
		t.Error(err)
	}
	if _, err := open(res.Entries[last].DN, ldapserver.UserPassword(0)); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("the password of somebody else: %v", err)
	}
	if v := ldapserver.Version(t.Context()); !strings.HasPrefix(v, "2.") {
		t.Errorf("version %q", v)
	}
	if s.PID() <= 0 {
		t.Error("no process")
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addr); err == nil {
		_ = c.Close()
		t.Error("a stopped server takes connections")
	}
}

func TestServerThatCannotStart(t *testing.T) {
	o := options(t)
	if err := os.WriteFile(o.Key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ldapserver.Start(t.Context(), o); err == nil {
		t.Error("a key that is none is taken")
	}
	o = options(t)
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ldapserver.Start(t.Context(), o); !errors.Is(err, os.ErrExist) {
		t.Errorf("a folder that is in use: %v", err)
	}
}
