package realserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type slapdPrograms struct {
	slapd, slapadd, ldapadd string
	modules                 string // folder of loadable modules; empty = built in
	schemata                string // folder of the schema files
}

type slapdFiles struct {
	config   string
	password string // path of a file with the administrator's password
	groups   string // LDIF text to be added to the running server
}

// prepare writes the configuration and loads the entries.
func (s *SlapdServer) prepare(ctx context.Context, root string, programs slapdPrograms, o SlapdOptions) (slapdFiles, error) {
	files := slapdFiles{config: filepath.Join(root, "slapd.conf"), password: filepath.Join(root, "password")}
	base, err := baseEntry(o.Suffix)
	if err != nil {
		return files, err
	}
	entries, groups := o.LDIF, ""
	if !o.NoMemberOf {
		entries, groups = splitLDIF(o.LDIF)
	}
	if !hasEntry(o.LDIF, o.Suffix) {
		entries = base + "\n" + entries
	}
	files.groups = groups
	data := filepath.Join(root, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return files, fmt.Errorf("make data folder: %w", err)
	}
	config, err := s.config(data, programs, o)
	if err != nil {
		return files, err
	}
	if err := os.WriteFile(files.config, []byte(config), 0o600); err != nil {
		return files, fmt.Errorf("write configuration: %w", err)
	}
	if err := os.WriteFile(files.password, []byte(s.AdminPassword), 0o600); err != nil {
		return files, fmt.Errorf("write password: %w", err)
	}
	if err := s.proc.owner.own(root); err != nil {
		return files, err
	}
	_, err = run(ctx, s.proc.owner, []byte(entries), programs.slapadd, "-q", "-f", files.config)
	return files, err
}

func (s *SlapdServer) config(data string, programs slapdPrograms, o SlapdOptions) (string, error) {
	var b strings.Builder
	for _, schema := range []string{"core", "cosine", "nis", "inetorgperson"} {
		fmt.Fprintf(&b, "include %s\n", filepath.Join(programs.schemata, schema+".schema"))
	}
	if programs.modules != "" {
		fmt.Fprintf(&b, "modulepath %s\nmoduleload back_mdb\nmoduleload memberof\n", programs.modules)
		if o.PasswordPolicy != "" {
			b.WriteString("moduleload ppolicy\n")
		}
	}
	fmt.Fprintf(&b, "pidfile %s\n", s.pidFile)
	if s.CertFile != "" {
		fmt.Fprintf(&b, "TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n",
			s.CAFile, s.CertFile, s.KeyFile)
	}
	quoted := make([]string, 0, 5)
	for _, word := range []string{s.Suffix, s.AdminDN, s.AdminPassword, o.PasswordPolicy, o.Referral} {
		q, err := quoteConf(word)
		if err != nil {
			return "", err
		}
		quoted = append(quoted, q)
	}
	if o.Referral != "" {
		fmt.Fprintf(&b, "referral %s\n", quoted[4])
	}
	// 1 GiB is an upper bound of a sparse file, not its size.
	fmt.Fprintf(&b, `database mdb
maxsize 1073741824
suffix %s
rootdn %s
rootpw %s
directory %s
index objectClass,uid,cn,member,memberUid,entryUUID eq
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by users read by anonymous auth
`, quoted[0], quoted[1], quoted[2], data)
	if !o.NoMemberOf {
		b.WriteString("overlay memberof\n")
	}
	if o.PasswordPolicy != "" {
		fmt.Fprintf(&b, "overlay ppolicy\nppolicy_default %s\nppolicy_use_lockout\n", quoted[3])
	}
	return b.String(), nil
}

// quoteConf makes one word of slapd.conf(5) out of any text of one line.
func quoteConf(word string) (string, error) {
	if strings.ContainsAny(word, "\r\n\x00") {
		return "", fmt.Errorf("%q cannot stand in slapd.conf: it has a line break or a NUL", word)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`, nil
}

// baseEntry returns the LDIF record of the suffix itself.
func baseEntry(suffix string) (string, error) {
	first, _, _ := strings.Cut(suffix, ",")
	kind, value, _ := strings.Cut(first, "=")
	switch strings.ToLower(kind) {
	case "dc":
		return fmt.Sprintf("dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: %s\no: %s\n", suffix, value, value), nil
	case "ou":
		return fmt.Sprintf("dn: %s\nobjectClass: organizationalUnit\nou: %s\n", suffix, value), nil
	}
	return "", fmt.Errorf("suffix %q begins with neither dc= nor ou=", suffix)
}

// splitLDIF parts the records of groups from all others; both keep their order.
func splitLDIF(ldif string) (entries, groups string) {
	var rest, grp strings.Builder
	for _, rec := range records(ldif) {
		if isGroup(rec) {
			grp.WriteString(rec + "\n\n")
		} else {
			rest.WriteString(rec + "\n\n")
		}
	}
	return rest.String(), grp.String()
}

// records parts LDIF (RFC 2849) at its empty lines.
func records(ldif string) []string {
	var recs []string
	for rec := range strings.SplitSeq(strings.ReplaceAll(ldif, "\r\n", "\n"), "\n\n") {
		if rec = strings.Trim(rec, "\n"); rec != "" {
			recs = append(recs, rec)
		}
	}
	return recs
}

func isGroup(record string) bool {
	for line := range strings.Lines(record) {
		if strings.EqualFold(strings.Join(strings.Fields(line), " "), "objectClass: groupOfNames") {
			return true
		}
	}
	return false
}

func hasEntry(ldif, dn string) bool {
	for _, rec := range records(ldif) {
		for line := range strings.Lines(rec) {
			name, value, _ := strings.Cut(line, ":")
			if strings.EqualFold(name, "dn") && strings.EqualFold(strings.TrimSpace(value), dn) {
				return true
			}
		}
	}
	return false
}

// findFolder returns the first folder, of patterns, that holds file.
func findFolder(file string, patterns ...string) string {
	for _, pattern := range patterns {
		matches, err := filepath.Glob(filepath.Join(pattern, file))
		if err == nil && len(matches) > 0 {
			return filepath.Dir(matches[0])
		}
	}
	return ""
}
