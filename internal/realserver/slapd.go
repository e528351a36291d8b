package realserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// SlapdOptions describes an OpenLDAP server.
type SlapdOptions struct {
	// Suffix is the base of the tree; default dc=company,dc=com. Its first
	// part must be a dc or an ou when LDIF does not hold its entry.
	Suffix string
	// LDIF holds the entries to load, parents first; the entry of the suffix
	// itself is added when absent. Groups (groupOfNames) are loaded after all
	// others, so that the memberof overlay sees them.
	LDIF string
	// AdminPassword is the password of AdminDN; default "admin-secret".
	AdminPassword string
	// NoTLS leaves out LDAPS and StartTLS.
	NoTLS bool
	// NoMemberOf leaves out the memberof overlay; groups are then loaded with the other entries.
	NoMemberOf bool
	// PasswordPolicy is the DN of the default policy (objectClass pwdPolicy, in LDIF) of the ppolicy
	// overlay; empty leaves the overlay out.
	PasswordPolicy string
	// Referral is the URL to which the server refers for entries that are not below Suffix.
	Referral string

	ports func() (int, error) // for tests; nil = freePort
}

// SlapdServer is a running OpenLDAP server with an mdb database, the core,
// cosine and inetorgperson schemas, the memberof overlay and equality indexes
// on uid, cn, member, memberUid and entryUUID. Anonymous clients may read the root
// DSE and bind; only signed-in ones may search; nobody but AdminDN reads passwords,
// and everybody may change his own.
type SlapdServer struct {
	URL    string // ldap://127.0.0.1:PORT; StartTLS unless NoTLS
	TLSURL string // ldaps://127.0.0.1:PORT; empty with NoTLS

	CAFile, CertFile, KeyFile string // PEM; empty with NoTLS

	AdminDN, AdminPassword string
	Suffix                 string

	server
	pidFile string
}

// Slapd starts an OpenLDAP server for the length of the test.
func Slapd(t testing.TB, o SlapdOptions) *SlapdServer {
	t.Helper()
	o = o.withDefaults()
	programs := slapdPrograms{
		slapd:    findProgram(t, "slapd", "/usr/sbin", "/usr/local/libexec", "/usr/libexec"),
		slapadd:  findProgram(t, "slapadd", "/usr/sbin", "/usr/local/sbin"),
		ldapadd:  findProgram(t, "ldapadd", "/usr/bin"),
		modules:  findFolder("back_mdb.so", "/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/*/openldap"),
		schemata: findFolder("core.schema", "/etc/ldap/schema", "/etc/openldap/schema"),
	}
	own, err := serverOwner("openldap")
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, "slapd")
	s := &SlapdServer{
		AdminDN:       "cn=admin," + o.Suffix,
		AdminPassword: o.AdminPassword,
		Suffix:        o.Suffix,
		pidFile:       filepath.Join(root, "slapd.pid"),
	}
	s.answers, s.stale = s.ready, s.pidFile
	s.proc = process{
		t: t, name: "slapd", owner: own, stopSig: syscall.SIGTERM,
		logFile: filepath.Join(root, "slapd.log"),
	}
	if !o.NoTLS {
		ca := newCA(t, root)
		s.CAFile = ca.CertFile
		s.CertFile, s.KeyFile = ca.Issue("server")
	}
	ctx := context.Background()
	files, err := s.prepare(ctx, root, programs, o)
	if err != nil {
		t.Fatalf("prepare slapd: %v", err)
	}
	t.Cleanup(s.proc.kill)
	s.firstStart(func() error { return s.listen(programs.slapd, files.config, o.ports) })
	if files.groups != "" {
		_, err := run(ctx, own, []byte(files.groups), programs.ldapadd, "-x", "-H", s.URL, "-D", s.AdminDN, "-y", files.password)
		if err != nil {
			s.proc.fatal(fmt.Errorf("load groups: %w", err))
		}
	}
	return s
}

func (o SlapdOptions) withDefaults() SlapdOptions {
	if o.Suffix == "" {
		o.Suffix = "dc=company,dc=com"
	}
	if o.AdminPassword == "" {
		o.AdminPassword = "admin-secret"
	}
	if o.ports == nil {
		o.ports = freePort
	}
	return o
}

// listen makes the command line for new ports.
func (s *SlapdServer) listen(program, config string, ports func() (int, error)) error {
	plain, secure, err := takeAddresses(ports)
	s.URL = "ldap://" + plain
	urls := s.URL + "/"
	if s.CertFile != "" {
		s.TLSURL = "ldaps://" + secure
		urls += " " + s.TLSURL + "/"
	}
	// A debug level, even the one that prints next to nothing, keeps slapd
	// in the foreground with its log on standard error.
	s.proc.argv = []string{program, "-f", config, "-h", urls, "-d", "none"}
	return err
}

// ready asks for the root DSE. slapd writes its pid file after it has bound
// its ports, so the file tells its answer from that of a stranger on the port.
func (s *SlapdServer) ready(ctx context.Context) error {
	data, err := os.ReadFile(s.pidFile)
	if err != nil {
		return fmt.Errorf("no pid file yet: %w", err)
	}
	if pid := strings.TrimSpace(string(data)); pid != strconv.Itoa(s.proc.pid) {
		return fmt.Errorf("the pid file names process %q, want %d", pid, s.proc.pid)
	}
	dialer := net.Dialer{Timeout: time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(s.URL, "ldap://"))
	if err != nil {
		return err
	}
	conn := ldap.NewConn(raw, false)
	conn.Start()
	defer conn.Close()
	conn.SetTimeout(time.Second)
	result, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		1, 1, false, "(objectClass=*)", []string{"namingContexts"}, nil))
	if err != nil {
		return err
	}
	if len(result.Entries) != 1 || !strings.EqualFold(result.Entries[0].GetAttributeValue("namingContexts"), s.Suffix) {
		return fmt.Errorf("the root DSE does not name %s", s.Suffix)
	}
	return nil
}
