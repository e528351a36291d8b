package ldapserver

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // G505: {SSHA} is what directories store, and what is measured
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Names in the tree.
const (
	Base    = "dc=company,dc=com"
	Service = "cn=switchpoint," + Base // may search
	people  = "ou=people," + Base
)

// UserName is the uid of the i-th user, from 0.
func UserName(i int) string { return fmt.Sprintf("user%06d", i) }

// UserPassword is the password of the i-th user.
func UserPassword(i int) string { return fmt.Sprintf("Passw0rd-%06d", i) }

// config is slapd.conf(5).
func (s *Server) config(modules, schemata string) string {
	var b strings.Builder
	for _, schema := range []string{"core", "cosine", "inetorgperson"} {
		fmt.Fprintf(&b, "include %s\n", filepath.Join(schemata, schema+".schema"))
	}
	if modules != "" {
		fmt.Fprintf(&b, "modulepath %s\nmoduleload back_mdb\n", modules)
	}
	fmt.Fprintf(&b, "pidfile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n", s.path("slapd.pid"), s.path("server.pem"), s.path("server.key"))
	// 4 GiB is an upper bound of a sparse file, not its size.
	fmt.Fprintf(&b, `database mdb
maxsize 4294967296
suffix "%s"
directory "%s"
index objectClass,uid,cn,entryUUID eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
`, Base, s.path("data"))
	return b.String()
}

// writeEntries writes the tree as LDIF (RFC 2849).
func writeEntries(w io.Writer, password string, users int) error {
	if _, err := fmt.Fprintf(w, `dn: %s
objectClass: dcObject
objectClass: organization
dc: company
o: company

dn: %s
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: switchpoint
userPassword: %s

dn: %s
objectClass: organizationalUnit
ou: people

`, Base, Service, ssha(password), people); err != nil {
		return err
	}
	for i := range users {
		name := UserName(i)
		if _, err := fmt.Fprintf(w, `dn: uid=%s,%s
objectClass: inetOrgPerson
uid: %s
cn: %s
sn: %d
mail: %s@company.com
departmentNumber: D-%d
employeeType: staff
userPassword: %s

`, name, people, name, name, i, name, i%40, ssha(UserPassword(i))); err != nil {
			return err
		}
	}
	return nil
}

// ssha is a password as OpenLDAP stores it by default: SHA-1 of password and salt, then the salt.
func ssha(password string) string {
	salt := make([]byte, 8)
	_, _ = rand.Read(salt)                             // never fails (crypto/rand)
	sum := sha1.Sum(append([]byte(password), salt...)) //nolint:gosec // G401: as above
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
