package broker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/directory"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// runScan runs the job of a center as a worker does.
func (r *running) runScan(t *testing.T, center string) (string, error) {
	t.Helper()
	return r.JobHandlers()[broker.KindCenterScan](t.Context(), broker.Job{NewJob: broker.NewJob{ID: "x", Kind: broker.KindCenterScan, Target: center}})
}

func (r *running) center(t *testing.T, name string) broker.CenterStatus {
	t.Helper()
	list, err := r.Centers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no center %s in %+v", name, list)
	return broker.CenterStatus{}
}

// TestCenters scans an HTTP inventory through its life: desktops come, change, vanish and come back;
// a scan that fails changes nothing, and one that finds too few waits for an operator.
func TestCenters(t *testing.T) {
	t.Parallel()
	var body atomic.Value
	var status atomic.Int64
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if n := int(status.Load()); n != 0 {
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(n)
		}
		fmt.Fprint(w, body.Load())
	}))
	defer source.Close()
	secret := filepath.Join(t.TempDir(), "bearer")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := func(names ...string) {
		var items []string
		for i, n := range names {
			items = append(items, fmt.Sprintf(`{"id":"id-%s","name":"%s","ip":"10.0.0.%d","tags":["floor"]}`, n, n, i+1))
		}
		body.Store(`{"machines":[` + strings.Join(items, ",") + `]}`)
	}
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Centers = []broker.Center{{Name: "cloud", Kind: "http", URL: source.URL, Bearer: "file:" + secret, Items: "machines", Every: time.Hour}}
	s.DesktopPools = []broker.DesktopPool{{Name: "floor", Kind: "pooled", Check: "none", Rules: []broker.PoolRule{{Attribute: "tag", Match: "eq", Value: "floor"}}}}
	b.fill(t, s)
	eventually(t, "the scan is in the queue", func() bool {
		jobs, err := b.Jobs(t.Context(), broker.JobFilter{Kinds: []string{broker.KindCenterScan, broker.KindPoolRefresh}})
		return err == nil && len(jobs) == 2
	})
	list("one", "two", "three", "four")
	if got, err := b.runScan(t, "cloud"); err != nil || !strings.HasPrefix(got, "4 machines: 4 new") {
		t.Fatal(got, err)
	}
	covers.Req(t, "BR1")
	in := b.Login(t.Context(), login("u0", "p"))
	if in.Token == "" || in.Offers[0].State != broker.OfferAvailable {
		t.Fatalf("%+v", in)
	}
	// Failures change nothing and are told.
	for name, fail := range map[string]func(){
		"answers 500": func() { status.Store(500) },
		"answers 302": func() { status.Store(302) },
		"not end":     func() { body.Store(`{"machines":[{"id":"id-one","name":"one"}`) },
		"no list":     func() { body.Store(`{"machines":{}}`) },
	} {
		fail()
		if got, err := b.runScan(t, "cloud"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if c := b.center(t, "cloud"); c.Desktops != 4 || c.Vanished != 0 || !strings.Contains(c.Error, name) || strings.Contains(c.Error, source.URL) {
			t.Errorf("%s: %+v", name, c)
		}
		status.Store(0)
	}
	// One of four may go; three may not without a word.
	list("one", "two", "three")
	if got, err := b.runScan(t, "cloud"); err != nil || !strings.Contains(got, "1 vanished") {
		t.Error(got, err)
	}
	list("one", "five")
	if got, err := b.runScan(t, "cloud"); err != nil || !strings.Contains(got, "until an operator confirms") {
		t.Error(got, err)
	}
	if c := b.center(t, "cloud"); c.Waiting != 2 || c.Desktops != 4 || c.Vanished != 1 {
		t.Errorf("%+v", c)
	}
	if n, err := b.ConfirmVanish(t.Context(), "cloud", "admin"); err != nil || n != 2 {
		t.Error(n, err)
	}
	if got, err := b.runScan(t, "cloud"); err != nil || !strings.Contains(got, "2 vanished") {
		t.Error(got, err)
	}
	list("one", "five", "two")
	if got, err := b.runScan(t, "cloud"); err != nil || !strings.Contains(got, "1 back") {
		t.Error(got, err)
	}
	if c := b.center(t, "cloud"); c.Waiting != 0 || c.Desktops != 3 || c.Vanished != 2 {
		t.Errorf("%+v", c)
	}
	// The job of a center that has gone ends.
	s.Centers = nil
	b.fill(t, s)
	if got, err := b.runScan(t, "cloud"); got != "the center is gone" {
		t.Error(got, err)
	}
	if err := b.ScanCenter(t.Context(), "cloud", "test"); err == nil {
		t.Error("a center that has gone is scanned")
	}
}

// computerEntries are computers as a directory without Active Directory's schema can hold them.
const computerEntries = `dn: ou=Desktops,dc=company,dc=com
objectClass: organizationalUnit
ou: Desktops

dn: ou=CAD,ou=Desktops,dc=company,dc=com
objectClass: organizationalUnit
ou: CAD
`

// TestDirectoryCenter reads computers out of a real OpenLDAP, more than one page of them.
func TestDirectoryCenter(t *testing.T) {
	t.Parallel()
	const computers = 1203
	var ldif strings.Builder
	ldif.WriteString(computerEntries)
	for i := range computers {
		fmt.Fprintf(&ldif, "\ndn: cn=pc-%04d,ou=CAD,ou=Desktops,dc=company,dc=com\nobjectClass: device\ncn: pc-%04d\nserialNumber: 10.7.%d.%d\ndescription: Debian 12\n",
			i, i, i/250, i%250)
	}
	server := realserver.Slapd(t, realserver.SlapdOptions{LDIF: ldif.String()})
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(server.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Directories = []broker.Directory{{Config: directory.Config{
		Name: "corp", Servers: []string{server.URL}, BaseDN: server.Suffix, BindDN: server.AdminDN, BindPassword: "file:" + secret,
	}}}
	s.Centers = []broker.Center{{
		Name: "domain", Kind: "ad", Directory: "corp", Base: "ou=desktops," + server.Suffix, Filter: "(objectClass=device)",
		Fields: broker.CenterFields{IP: "serialNumber", OS: "description"},
	}}
	s.DesktopPools = []broker.DesktopPool{{Name: "floor", Kind: "pooled", Check: "none", Rules: []broker.PoolRule{
		{Attribute: "ou", Match: "begins-with", Value: "ou=cad,"}, {Attribute: "ip", Match: "in-network", Value: "10.7.0.0/16"}, {Attribute: "os", Match: "contains", Value: "debian"}}}}
	b.fill(t, s)
	if got, err := b.runScan(t, "domain"); err != nil || !strings.HasPrefix(got, "1203 machines: 1203 new") {
		t.Fatal(got, err)
	}
	if got, err := b.runScan(t, "domain"); err != nil || !strings.HasPrefix(got, "1203 machines: 0 new, 0 changed") {
		t.Error(got, err)
	}
	in := b.Login(t.Context(), login("u0", "p"))
	if in.Token == "" {
		t.Fatalf("%+v", in)
	}
	c, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[0].ID.String()})
	if err != nil || !strings.HasPrefix(c.Desktop, "pc-") || !strings.HasPrefix(c.Host, "10.7.") || c.Protocol != "rdp" {
		t.Errorf("%+v, %v", c, err)
	}
	server.Stop()
	if got, err := b.runScan(t, "domain"); err == nil {
		t.Errorf("a directory that is down was scanned: %s", got)
	}
	if st := b.center(t, "domain"); st.Desktops != computers || st.Error == "" {
		t.Errorf("%+v", st)
	}
}

// TestPoliciesOfPools takes what policies say through logins and connects.
func TestPoliciesOfPools(t *testing.T) {
	t.Parallel()
	covers.Req(t, "BR2")
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Protocols = []broker.Protocol{{Name: "nx", Port: 4000, Template: "to {host}:{port} as {user}", File: "nxs"}}
	s.DesktopPools = []broker.DesktopPool{
		{Name: "floor", Kind: "pooled", Check: "none", Backup: "spare"}, {Name: "spare", Kind: "pooled", Check: "none"},
		{Name: "lab", Kind: "pooled", Check: "none"},
	}
	s.Desktops = []broker.Desktop{
		{Name: "floor-1", Pool: "floor", Host: "10.0.0.1"}, {Name: "spare-1", Pool: "spare", Host: "10.0.0.2"}, {Name: "lab-1", Pool: "lab", Host: "10.0.0.3"},
	}
	s.Policies = []broker.Policy{
		{Name: "near", Locations: []string{"192.0.2.0/24"}, Pools: []string{"floor", "lab"}, Protocol: "nx", MaxSessions: 1},
		{Name: "far", Pools: []string{"lab"}},
	}
	b.fill(t, s)
	far := login("u0", "p")
	far.ClientAddr = "198.51.100.7"
	if res := b.Login(t.Context(), far); len(res.Offers) != 1 || res.Offers[0].Pool != "lab" || res.Offers[0].Protocol != "rdp" {
		t.Errorf("far: %+v", res.Offers)
	}
	seen := make(map[string]bool)
	for _, user := range []string{"u1", "u2"} {
		in := b.Login(t.Context(), login(user, "p"))
		if len(in.Offers) != 2 || in.Offers[0].Protocol != "nx" {
			t.Fatalf("%s: %+v", user, in.Offers)
		}
		c, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[0].ID.String()})
		if err != nil || c.Port != 4000 || c.File.Name != c.Desktop+".nxs" || c.File.Text != "to "+c.Host+":4000 as "+user {
			t.Errorf("%s: %+v, %v", user, c, err)
		}
		seen[c.Desktop] = true
		_, offers, err := b.Offers(t.Context(), in.Token, "192.0.2.7")
		if err != nil || offers[0].State != broker.OfferRunning || offers[1].State != broker.OfferUnavailable {
			t.Errorf("%s: offers %+v, %v", user, offers, err)
		}
		_, err = b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: in.Offers[1].ID.String()})
		if refusalCode(err) != broker.CodeSessionLimit {
			t.Errorf("%s: a second desktop: %v", user, err)
		}
	}
	if !seen["floor-1"] || !seen["spare-1"] {
		t.Errorf("desktops %v", seen)
	}
	if in := b.Login(t.Context(), login("u3", "p")); in.Offers[0].State != broker.OfferUnavailable {
		t.Errorf("both pools are used up: %+v", in.Offers)
	}
}

// TestImportAssignments: a file with one wrong line changes nothing; a right one is in force at once.
func TestImportAssignments(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "a", Pool: "own", Host: "h"}, {Name: "b", Pool: "own", Host: "h"}, {Name: "c", Pool: "floor", Host: "h"}}
	b.fill(t, s)
	do := func(text string, dry bool) broker.ImportReport {
		t.Helper()
		r, err := b.ImportAssignments(t.Context(), strings.NewReader(text), dry, "admin")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	names := func(user string) string {
		var out []string
		for _, o := range b.Login(t.Context(), login(user, "p")).Offers {
			out = append(out, o.Name)
		}
		return strings.Join(out, " ")
	}
	r := do("user,desktop\nU1,a\nu2,c\nu3,nothing\n", false)
	if r.Applied || r.Counts[broker.AssignRefused] != 2 || r.Lines[1].Line != 3 || r.Lines[1].Cure == "" || names("u1") != "floor" {
		t.Errorf("%+v; u1 has %s", r, names("u1"))
	}
	if r := do("user,desktop\nU1,a\n", true); r.Applied || r.Counts[broker.AssignAdd] != 1 || names("u1") != "floor" {
		t.Errorf("%+v; u1 has %s", r, names("u1"))
	}
	if r := do("user,desktop\nU1,a\nu2,b\n", false); !r.Applied || names("u1") != "a floor" || names("u2") != "b floor" {
		t.Errorf("%+v; u1 has %s, u2 %s", r, names("u1"), names("u2"))
	}
	if _, err := b.ImportAssignments(t.Context(), strings.NewReader("what\n"), false, "admin"); err == nil {
		t.Error("a file without the columns is accepted")
	}
}

// TestActiveDirectoryCenter reads the computers of a real domain controller with nothing but defaults.
func TestActiveDirectoryCenter(t *testing.T) {
	t.Parallel()
	server := realserver.Samba(t, realserver.SambaOptions{})
	var ldif strings.Builder
	fmt.Fprintf(&ldif, "dn: OU=CAD,%s\nobjectClass: organizationalUnit\nou: CAD\n", server.BaseDN)
	for name, control := range map[string]int{"PC1": 4096, "PC2": 4096, "OFF": 4098} { // WORKSTATION_TRUST_ACCOUNT, ACCOUNTDISABLE
		fmt.Fprintf(&ldif, "\ndn: CN=%s,OU=CAD,%s\nobjectClass: computer\nsAMAccountName: %s$\nuserAccountControl: %d\n"+
			"dNSHostName: %s.corp.example.test\noperatingSystem: Windows 11 Enterprise\ndescription: third floor\n", name, server.BaseDN, name, control, strings.ToLower(name))
	}
	server.Add(ldif.String())
	secret := filepath.Join(t.TempDir(), "bind")
	if err := os.WriteFile(secret, []byte(server.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.Directories = []broker.Directory{{Config: directory.Config{
		Name: "corp", Servers: []string{server.TLSURL}, CA: server.CAFile, BaseDN: server.BaseDN, BindDN: server.AdminUser, BindPassword: "file:" + secret,
	}}}
	s.Centers = []broker.Center{{Name: "domain", Kind: "ad", Directory: "corp", Base: "OU=CAD," + server.BaseDN}}
	s.DesktopPools = []broker.DesktopPool{{Name: "floor", Kind: "pooled", Check: "none", Rules: []broker.PoolRule{
		{Attribute: "ou", Match: "bw", Value: "OU=CAD,"}, {Attribute: "os", Match: "bw", Value: "windows 11"}, {Attribute: "description", Match: "eq", Value: "third floor"}}}}
	s.Policies[0].MaxOffers = 9
	b.fill(t, s)
	if got, err := b.runScan(t, "domain"); err != nil || !strings.HasPrefix(got, "3 machines: 3 new") {
		t.Fatal(got, err)
	}
	in := b.Login(t.Context(), login("u0", "p"))
	if len(in.Offers) != 2 { // the disabled one is not offered
		t.Fatalf("%+v", in)
	}
	hosts := make(map[string]bool)
	for _, o := range in.Offers {
		c, err := b.Connect(t.Context(), broker.ConnectRequest{Token: in.Token, Offer: o.ID.String()})
		if err != nil {
			t.Error(err)
		}
		hosts[c.Host] = true
	}
	if !hosts["pc1.corp.example.test"] || !hosts["pc2.corp.example.test"] {
		t.Errorf("hosts %v", hosts)
	}
	// A computer that moves to another OU and is renamed keeps its desktop.
	server.ForceRename("CN=PC1,OU=CAD,"+server.BaseDN, "CN=PC9,OU=CAD,"+server.BaseDN)
	if got, err := b.runScan(t, "domain"); err != nil || !strings.HasPrefix(got, "3 machines: 0 new, 1 changed, 0 back, 0 vanished") {
		t.Error(got, err)
	}
}
