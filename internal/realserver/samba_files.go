package realserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type sambaPrograms struct{ samba, tool, ldbadd, python string }

func findSambaPrograms(t testing.TB) sambaPrograms {
	t.Helper()
	return sambaPrograms{
		samba:  findProgram(t, "samba", "/usr/sbin"),
		tool:   findProgram(t, "samba-tool", "/usr/bin"),
		ldbadd: findProgram(t, "ldbadd", "/usr/bin"),
		python: "/usr/bin/python3", // the system's, which has Samba's modules
	}
}

func (s *SambaServer) data() string     { return filepath.Join(s.root, "data") }
func (s *SambaServer) config() string   { return filepath.Join(s.root, "smb.conf") }
func (s *SambaServer) database() string { return filepath.Join(s.data(), "private", "sam.ldb") }

// sambaModules keep the access lists of files in a database of their own: the file system of a test
// machine need not have any.
const sambaModules = "vfs objects = dfs_samba4 acl_xattr xattr_tdb"

// provision makes the domain and writes the server's configuration.
func (s *SambaServer) provision(ctx context.Context, cert, key string) error {
	for _, dir := range []string{"run", "cache"} {
		if err := os.MkdirAll(filepath.Join(s.data(), dir), 0o755); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	_, err := run(ctx, nil, nil, s.inside(s.tools.tool, "domain", "provision", "--targetdir="+s.data(),
		"--realm="+s.Realm, "--domain="+s.Domain, "--server-role=dc", "--dns-backend=SAMBA_INTERNAL",
		"--adminpass="+s.AdminPassword, "--host-name=dc1", "--host-ip="+s.Addr, "--option="+sambaModules)...)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.config(), []byte(s.configText(cert, key)), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// configText replaces the configuration that provisioning writes: that one forwards DNS to the
// machine's resolver and puts sockets and logs in the system's folders.
func (s *SambaServer) configText(cert, key string) string {
	strong := "yes"
	if s.options.AllowPlain {
		strong = "no"
	}
	return strings.NewReplacer("$data", s.data(), "$realm", s.Realm, "$zone", strings.ToLower(s.Realm), "$domain", s.Domain,
		"$modules", sambaModules, "$strong", strong, "$cert", cert, "$key", key, "$ca", s.CAFile).Replace(`[global]
netbios name = DC1
realm = $realm
workgroup = $domain
server role = active directory domain controller
server services = rpc, ldap, cldap, kdc, dns
private dir = $data/private
lock directory = $data
state directory = $data/state
cache directory = $data/cache
binddns dir = $data/bind-dns
pid directory = $data/run
ncalrpc dir = $data/run/ncalrpc
winbindd socket directory = $data/run/winbindd
ntp signd socket directory = $data/run/ntp_signd
usershare path =
log file = $data/run/log
$modules
dns forwarder =
ldap server require strong auth = $strong
tls enabled = yes
tls certfile = $cert
tls keyfile = $key
tls cafile = $ca

[sysvol]
path = $data/state/sysvol
read only = no

[netlogon]
path = $data/state/sysvol/$zone/scripts
read only = no
`)
}
