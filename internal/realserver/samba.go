package realserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// SambaOptions describes an Active Directory domain controller.
type SambaOptions struct {
	Realm         string // default CORP.EXAMPLE.TEST
	Domain        string // its short name; default CORP
	AdminPassword string // of Administrator; default Admin-secret-1 (the domain wants complex ones)
	// AllowPlain lets users bind with a password on a connection that is not encrypted. The default
	// is that of a real one: code 8, stronger authentication required.
	AllowPlain bool
}

// SambaServer is a running Samba Active Directory domain controller, the only one of its domain. It
// stands in a network namespace of its own, because its ports cannot be chosen: LDAP 389 and 636,
// global catalog 3268 and 3269, Kerberos 88, DNS 53, RPC 135. The test reaches it over Addr, and it
// reaches the test over HostAddr.
type SambaServer struct {
	Addr, HostAddr string // IP addresses of the server and of the test

	URL, TLSURL   string // ldap:// (StartTLS) and ldaps://
	GCURL         string // ldaps:// of the global catalog
	CAFile        string // PEM; the certificate is valid for Addr and for Host
	Host          string // dc1.corp.example.test
	Realm, Domain string // as in the options
	BaseDN        string // DC=corp,DC=example,DC=test
	ConfigDN      string // CN=Configuration,DC=corp,...

	AdminDN, AdminUser, AdminPassword string // AdminUser is Administrator@realm

	server
	options SambaOptions
	network *sambaNetwork
	root    string
	tools   sambaPrograms
}

// Samba makes a new domain and starts its controller for the length of the test. It takes some
// 10 seconds, and root.
func Samba(t testing.TB, o SambaOptions) *SambaServer {
	t.Helper()
	o = o.withDefaults()
	tools := findSambaPrograms(t)
	root := newRoot(t, "samba")
	n := newSambaNetwork(t)
	s := &SambaServer{
		Addr: n.inside.String(), HostAddr: n.host.String(),
		Realm: o.Realm, Domain: o.Domain, Host: "dc1." + strings.ToLower(o.Realm),
		BaseDN:    "DC=" + strings.ReplaceAll(strings.ToLower(o.Realm), ".", ",DC="),
		AdminUser: "Administrator@" + strings.ToLower(o.Realm), AdminPassword: o.AdminPassword,
		options: o, network: n, root: root, tools: tools,
	}
	s.ConfigDN = "CN=Configuration," + s.BaseDN
	s.AdminDN = "CN=Administrator,CN=Users," + s.BaseDN
	s.URL, s.TLSURL = "ldap://"+s.at("389"), "ldaps://"+s.at("636")
	s.GCURL = "ldaps://" + s.at("3269")
	s.answers = s.ready
	s.proc = process{
		t: t, name: "samba", stopSig: syscall.SIGTERM, logFile: filepath.Join(root, "samba.log"),
		argv: s.inside(tools.samba, "-F", "--no-process-group", "-M", "single", "--debug-stdout", "-s", s.config()),
	}
	ca := newCA(t, root)
	s.CAFile = ca.CertFile
	cert, key := ca.Issue("dc1", s.Addr, s.Host)
	if err := s.provision(context.Background(), cert, key); err != nil {
		t.Fatalf("prepare Samba: %v", err)
	}
	t.Cleanup(s.proc.kill)
	s.Start()
	return s
}

func (o SambaOptions) withDefaults() SambaOptions {
	if o.Realm == "" {
		o.Realm = "CORP.EXAMPLE.TEST"
	}
	if o.Domain == "" {
		o.Domain = "CORP"
	}
	if o.AdminPassword == "" {
		o.AdminPassword = "Admin-secret-1"
	}
	return o
}

// DNS is the host:port of the domain's own DNS server. Records are added with
// Tool("dns", "add", s.Addr, zone, name, type, value); the zone is the realm in lower case.
func (s *SambaServer) DNS() string { return s.at("53") }

func (s *SambaServer) at(port string) string { return net.JoinHostPort(s.Addr, port) }

// ready asks for the root DSE and for the DNS and RPC ports. The address belongs to this server's
// namespace alone, so no stranger answers.
func (s *SambaServer) ready(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	for _, port := range []string{"53", "135"} {
		raw, err := dialer.DialContext(ctx, "tcp", s.at(port))
		if err != nil {
			return err
		}
		_ = raw.Close()
	}
	raw, err := dialer.DialContext(ctx, "tcp", s.at("389"))
	if err != nil {
		return err
	}
	conn := ldap.NewConn(raw, false)
	conn.Start()
	defer conn.Close()
	conn.SetTimeout(5 * time.Second)
	result, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		1, 5, false, "(objectClass=*)", []string{"configurationNamingContext"}, nil))
	if err != nil {
		return err
	}
	if len(result.Entries) != 1 || !strings.EqualFold(result.Entries[0].GetAttributeValue("configurationNamingContext"), s.ConfigDN) {
		return errors.New("the root DSE does not name " + s.ConfigDN)
	}
	return nil
}

// Tool runs samba-tool beside the server and returns what it prints. It works on the server's own
// database, or over the network as Administrator for "dns" commands.
func (s *SambaServer) Tool(args ...string) string {
	s.proc.t.Helper()
	argv := append([]string{s.tools.tool}, args...)
	argv = append(argv, "--configfile="+s.config())
	if len(args) > 0 && args[0] == "dns" {
		argv = append(argv, "-U", s.Domain+`\Administrator%`+s.AdminPassword)
	} else {
		argv = append(argv, "-H", s.database())
	}
	return s.must(nil, argv...)
}

// Ldb runs ldbadd, ldbmodify, ldbrename, ldbdel or ldbsearch on the server's own database, with
// input as its standard input, and returns what it prints. The server sees the change at once.
func (s *SambaServer) Ldb(input, program string, args ...string) string {
	s.proc.t.Helper()
	path := filepath.Join(filepath.Dir(s.tools.ldbadd), program)
	argv := append([]string{path, "-H", s.database(), "--configfile=" + s.config()}, args...)
	return s.must([]byte(input), argv...)
}

// Add loads entries in LDIF, parents first.
func (s *SambaServer) Add(ldif string) {
	s.proc.t.Helper()
	s.Ldb(ldif, "ldbadd")
}

// AddUser adds an account that may sign in as name@realm.
func (s *SambaServer) AddUser(name, password string) {
	s.proc.t.Helper()
	s.Tool("user", "create", name, password)
}

// ForceRename gives an object a name that the server refuses to clients, such as that of a conflict
// object (\0ACNF:...), which only replication between two controllers makes.
func (s *SambaServer) ForceRename(oldDN, newDN string) {
	s.proc.t.Helper()
	const script = `import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
config = LoadParm(sys.argv[1])
db = SamDB(url=sys.argv[2], session_info=system_session(), lp=config)
db.rename(sys.argv[3], sys.argv[4], controls=["relax:0"])
`
	s.must(nil, s.tools.python, "-c", script, s.config(), s.database(), oldDN, newDN)
}

func (s *SambaServer) must(input []byte, argv ...string) string {
	s.proc.t.Helper()
	out, err := run(context.Background(), nil, input, s.inside(argv...)...)
	if err != nil {
		s.proc.fatal(fmt.Errorf("%w (output: %s)", err, out))
	}
	return string(out)
}

// inside is a command line that runs in the server's network.
func (s *SambaServer) inside(argv ...string) []string {
	return slices.Concat(s.network.enter, argv)
}
