package realserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// sambaTLS trusts the server's own CA for its address.
func sambaTLS(t *testing.T, s *SambaServer) *tls.Config {
	t.Helper()
	c := tlsConfig(t, s.CAFile)
	c.ServerName = s.Addr
	return c
}

func TestSambaIsADomainController(t *testing.T) {
	s := Samba(t, SambaOptions{})
	trusted := sambaTLS(t, s)
	s.AddUser("ann", "Ann-secret-1")

	plain := dialLDAP(t, s.URL, nil)
	if err := plain.Bind(s.AdminUser, s.AdminPassword); !ldap.IsErrorWithCode(err, ldap.LDAPResultStrongAuthRequired) {
		t.Errorf("password on a plain connection: %v, want code 8", err)
	}
	if err := plain.StartTLS(trusted); err != nil {
		t.Fatalf("StartTLS: %v", err)
	}
	for _, name := range []string{"ann@corp.example.test", `CORP\ann`, "CN=ann,CN=Users," + s.BaseDN} {
		if err := plain.Bind(name, "Ann-secret-1"); err != nil {
			t.Errorf("bind as %s: %v", name, err)
		}
	}
	if err := plain.Bind("ann@corp.example.test", "wrong"); err == nil || !strings.Contains(err.Error(), "data 52e") {
		t.Errorf("wrong password: %v, want sub-code 52e", err)
	}
	for _, url := range []string{s.TLSURL, s.GCURL} {
		conn := dialLDAP(t, url, trusted)
		if err := conn.Bind(s.AdminDN, s.AdminPassword); err != nil {
			t.Errorf("administrator's bind at %s: %v", url, err)
		}
		found, err := conn.Search(ldap.NewSearchRequest(s.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
			0, 0, false, "(sAMAccountName=ann)", []string{"objectGUID"}, nil))
		if err != nil || len(found.Entries) != 1 {
			t.Errorf("search at %s: %v, %v", url, found, err)
		}
	}
}

func TestSambaToolsAndDNS(t *testing.T) {
	s := Samba(t, SambaOptions{AllowPlain: true})
	conn := dialLDAP(t, s.URL, nil)
	if err := conn.Bind(s.AdminDN, s.AdminPassword); err != nil {
		t.Fatalf("plain bind where it is allowed: %v", err)
	}
	s.Tool("sites", "create", "Prague")
	s.Add("dn: CN=10.1.0.0/16,CN=Subnets,CN=Sites," + s.ConfigDN + "\nobjectClass: subnet\n")
	if out := s.Ldb("", "ldbsearch", "-b", "CN=Sites,"+s.ConfigDN, "(|(objectClass=subnet)(cn=Prague))", "cn"); strings.Count(out, "\ncn: ") != 2 {
		t.Errorf("sites and subnets:\n%s", out)
	}

	s.Tool("dns", "add", s.Addr, "corp.example.test", "gtm", "A", s.HostAddr)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.DNS())
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for name, want := range map[string]string{s.Host: s.Addr, "gtm.corp.example.test": s.HostAddr} {
		if got, err := resolver.LookupHost(ctx, name+"."); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, %v, want %s", name, got, err, want)
		}
	}
}

// TestSambaNetworkDiesWithTheTest runs this test again in a process of its own, which makes a network
// and ends without any cleanup.
func TestSambaNetworkDiesWithTheTest(t *testing.T) {
	if os.Getenv(orphanEnv) != "" {
		fmt.Println(newSambaNetwork(t).name + " is there")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSambaNetworkDiesWithTheTest$")
	cmd.Env = append(os.Environ(), orphanEnv+"=kill", "SWITCHPOINT_COVERS=", "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	name, _, made := strings.Cut(string(out), " is there")
	if err == nil || !made {
		t.Fatalf("the test process made no network, or did not die: %v, %s", err, out)
	}
	eventually(t, "the interface "+name+" is gone", func() bool {
		_, err := net.InterfaceByName(name)
		return err != nil
	})
}

func TestSambaLife(t *testing.T) {
	var link, root string
	t.Run("server", func(t *testing.T) {
		s := Samba(t, SambaOptions{AllowPlain: true})
		link, root = s.network.name, s.root
		bind := func() error {
			conn, err := ldap.DialURL(s.URL, ldap.DialWithDialer(&net.Dialer{Timeout: time.Second}))
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.SetTimeout(time.Second)
			return conn.Bind(s.AdminUser, s.AdminPassword)
		}
		want := func(step string, up bool) {
			t.Helper()
			if err := bind(); (err == nil) != up {
				t.Errorf("%s: bind error %v, want up = %v", step, err, up)
			}
		}
		want("start", true)
		s.Pause()
		want("paused", false)
		s.Resume()
		want("resumed", true)
		s.Stop()
		want("stopped", false)
		s.Start()
		want("started again", true)
		s.Kill()
		want("killed", false)
		s.Start()
		want("started after a kill", true)
		if _, err := net.InterfaceByName(link); err != nil {
			t.Errorf("interface of a running server: %v", err)
		}
	})
	if _, err := net.InterfaceByName(link); err == nil {
		t.Errorf("the interface %s is left", link)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}
