package ldapserver_test

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"switchpoint/bench/ldapserver"
	"switchpoint/internal/ownca"
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

// options with a certificate of their own authority.
func options(t *testing.T) ldapserver.Options {
	t.Helper()
	dir := folder(t)
	ca, err := ownca.NewFolder(dir, "test CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Issue("server", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	cert, key := ca.Files("server")
	return ldapserver.Options{
		Dir: filepath.Join(dir, "slapd"), Addr: "127.0.0.1:0", CA: ca.CAFile(), Cert: cert, Key: key, Password: "it's one", Users: 7,
	}
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
