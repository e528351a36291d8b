package realserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const people = `dn: ou=US,dc=company,dc=com
objectClass: organizationalUnit
ou: US

dn: uid=ann,ou=US,dc=company,dc=com
objectClass: inetOrgPerson
uid: ann
cn: Ann Lee
sn: Lee
userPassword: ann-secret

dn: cn=staff,dc=company,dc=com
objectClass: groupOfNames
cn: staff
member: uid=ann,ou=US,dc=company,dc=com
`

const ann = "uid=ann,ou=US,dc=company,dc=com"

func dialLDAP(t *testing.T, url string, pool *tls.Config) *ldap.Conn {
	t.Helper()
	conn, err := ldap.DialURL(url, ldap.DialWithTLSConfig(pool), ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
	if err != nil {
		t.Fatalf("dial %s: %v", url, err)
	}
	conn.SetTimeout(10 * time.Second)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestSlapdServesWhatTheTestGave(t *testing.T) {
	s := Slapd(t, SlapdOptions{LDIF: people, AdminPassword: `odd "\ secret`})
	trusted := tlsConfig(t, s.CAFile)

	start := dialLDAP(t, s.URL, trusted)
	if err := start.StartTLS(trusted); err != nil {
		t.Fatalf("StartTLS: %v", err)
	}
	if err := start.Bind(ann, "ann-secret"); err != nil {
		t.Errorf("bind over StartTLS: %v", err)
	}
	if err := start.Bind(ann, "wrong"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("wrong password: %v, want invalid credentials", err)
	}

	admin := dialLDAP(t, s.TLSURL, trusted)
	if err := admin.Bind(s.AdminDN, s.AdminPassword); err != nil {
		t.Fatalf("administrator's bind over LDAPS: %v", err)
	}
	found, err := admin.Search(ldap.NewSearchRequest(s.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, 0, false, "(uid=ann)", []string{"cn", "memberOf", "entryUUID"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Entries) != 1 || found.Entries[0].DN != ann {
		t.Fatalf("entries = %v, want ann alone", found.Entries)
	}
	if got := found.Entries[0].GetAttributeValue("memberOf"); got != "cn=staff,dc=company,dc=com" {
		t.Errorf("memberOf = %q", got)
	}
	if found.Entries[0].GetAttributeValue("entryUUID") == "" {
		t.Error("no entryUUID")
	}

	if _, err := dialLDAP(t, s.URL, nil).Search(ldap.NewSearchRequest(s.Suffix, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, 0, false, "(uid=ann)", nil, nil)); err == nil {
		t.Error("an anonymous client may search")
	}
	untrusting := &tls.Config{ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	if conn, err := ldap.DialURL(s.TLSURL, ldap.DialWithTLSConfig(untrusting)); err == nil {
		_ = conn.Close()
		t.Error("a client that does not know the CA trusts the server")
	}
}

func TestSlapdLife(t *testing.T) {
	s := Slapd(t, SlapdOptions{LDIF: people, NoTLS: true})
	if s.TLSURL != "" || s.CAFile != "" {
		t.Errorf("NoTLS server names TLS: %q %q", s.TLSURL, s.CAFile)
	}
	bind := func() error {
		conn, err := ldap.DialURL(s.URL)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetTimeout(300 * time.Millisecond)
		return conn.Bind(ann, "ann-secret")
	}
	want := func(step string, up bool) {
		t.Helper()
		if err := bind(); (err == nil) != up {
			t.Errorf("%s: bind error %v, want up = %v", step, err, up)
		}
	}
	want("start", true)
	s.Stop()
	want("stopped", false)
	s.Start()
	want("started again", true)
	s.Kill()
	want("killed", false)
	s.Start()
	want("started after a kill", true)
	s.Pause()
	want("paused", false)
	s.Resume()
	want("resumed", true)
	s.Pause()
	s.Stop()
	want("stopped while paused", false)
}

func TestSlapdTakesAnotherPortWhenOneIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	first := true
	ports := func() (int, error) {
		if first {
			first = false
			return taken.Addr().(*net.TCPAddr).Port, nil
		}
		return freePort()
	}
	s := Slapd(t, SlapdOptions{NoTLS: true, ports: ports})
	if strings.HasSuffix(s.URL, fmt.Sprint(":", taken.Addr().(*net.TCPAddr).Port)) {
		t.Errorf("URL %s is the taken port", s.URL)
	}
}

func TestSplitLDIF(t *testing.T) {
	entries, groups := splitLDIF(strings.ReplaceAll(people, "\n", "\r\n"))
	if strings.Count(entries, "dn: ") != 2 || strings.Contains(entries, "cn=staff") {
		t.Errorf("entries:\n%s", entries)
	}
	if !strings.HasPrefix(groups, "dn: cn=staff") || strings.Count(groups, "dn: ") != 1 {
		t.Errorf("groups:\n%s", groups)
	}
	if !hasEntry(people, "OU=us,dc=company,dc=com") || hasEntry(people, "dc=company,dc=com") {
		t.Error("hasEntry does not tell the suffix from an entry below it")
	}
}

func TestBaseEntryRefusesOtherSuffixes(t *testing.T) {
	if _, err := baseEntry("cn=config"); err == nil {
		t.Error("cn=config was accepted")
	}
	if _, err := quoteConf("two\nlines"); err == nil {
		t.Error("a line break was accepted in slapd.conf")
	}
}
