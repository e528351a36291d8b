package sites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// TestLiveForest reads a real domain controller.
func TestLiveForest(t *testing.T) {
	f := newForest(t)
	t.Run("sites, subnets and links", f.testContents)
	t.Run("order", f.testOrder)
	t.Run("connections", f.testConnections)
	t.Run("exports are equal", f.testExports)
	t.Run("bridges", f.testBridges)
	t.Run("what is left out", f.testProblems)
	t.Run("ranges", f.testRanges)
	t.Run("more than a page", f.testPages)
}

func (f *forest) testContents(t *testing.T) {
	set := f.mustRead(t)
	if sites, subnets, links := set.Len(); sites != 6 || subnets != 200 || links != 3 {
		t.Fatalf("%d sites, %d subnets, %d links", sites, subnets, links)
	}
	want := ourSubnets()
	slices.SortFunc(want, func(a, b Subnet) int { return a.Prefix.Compare(b.Prefix) })
	if got := slices.Collect(set.Subnets()); !slices.Equal(got, want) {
		t.Errorf("subnets = %v", got)
	}
	if s, ok := set.Site("pRAGUE"); !ok || s.Name != "Prague" || s.Location != "the house in Prague" {
		t.Errorf("Prague is %v", s)
	}
	if set.Source() != f.TLSURL || time.Since(set.Time()) > time.Minute || set.USN() == 0 || !set.Transitive() {
		t.Errorf("source %s, time %v, USN %d, transitive %v", set.Source(), set.Time(), set.USN(), set.Transitive())
	}
	// The link of a new domain has only that domain's first site.
	if p := set.Problems(); len(p) != 1 || p[0].Object != f.link("DEFAULTIPSITELINK") || p[0].What != "joins 1 usable sites, and a link takes two" {
		t.Errorf("problems = %v", p)
	}
	for client, want := range map[string]string{
		"10.7.7.9":        "London", // the /24 inside 10.7.0.0/16 inside 10.0.0.0/8
		"10.7.8.9":        "Vienna",
		"10.200.1.1":      "Prague", // the catch-all
		"2001:db8:3::5":   "Vienna",
		"2001:db8:fff::5": "London", // the catch-all
		"192.0.2.1":       "",
	} {
		if got := siteOf(set, client); got != want {
			t.Errorf("%s is in site %q, want %q", client, got, want)
		}
	}
}

func (f *forest) testOrder(t *testing.T) {
	set := f.mustRead(t)
	// us owns two sites: the cheaper counts.
	owners := map[string]int{"prague": 0, "NewYork": 1, "London": 1, defaultSite: 2, "Atlantis": 3}
	for site, want := range map[string]string{
		"Brno":    "0: site Prague, cost 100; 1: site London, cost 150; 3: site Atlantis, not in the directory; 2: site Default-First-Site-Name, no path of site links",
		"Vienna":  "1: site London, cost 50; 0: site Prague, cost 50; 3: site Atlantis, not in the directory; 2: site Default-First-Site-Name, no path of site links",
		"NewYork": "1: site NewYork, cost 0; 0: site Prague, cost 350; 3: site Atlantis, not in the directory; 2: site Default-First-Site-Name, no path of site links",
		"Nowhere": "3: site Atlantis, not in the directory; 2: site Default-First-Site-Name, no path of site links; 1: site London, no path of site links; 0: site Prague, no path of site links",
	} {
		if got := steps(set.Order(site, owners)); got != want {
			t.Errorf("from %s:\n%s, want\n%s", site, got, want)
		}
	}
}

func (f *forest) testConnections(t *testing.T) {
	silent := "ldaps://" + f.Addr + ":9" // nobody listens there
	t.Setenv("WRONG_PASSWORD", "wrong")
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string // empty: it works
	}{
		"StartTLS":           {func(c *Config) { c.URLs, c.StartTLS = []string{f.URL}, true }, ""},
		"the second server":  {func(c *Config) { c.URLs = []string{silent, f.TLSURL} }, ""},
		"global catalog":     {func(c *Config) { c.URLs = []string{f.GCURL} }, ""},
		"DN of the account":  {func(c *Config) { c.BindDN = "CN=svc-sites,CN=Users," + f.BaseDN }, ""},
		"no server":          {func(c *Config) { c.URLs = []string{silent} }, "connection refused"},
		"unknown CA":         {func(c *Config) { c.CA = "" }, "certificate"},
		"another name":       {func(c *Config) { c.Verify = "dc2.example.test" }, "not dc2.example.test"},
		"plain, as Validate": {func(c *Config) { c.URLs = []string{f.URL} }, "would send passwords over the network unencrypted"},
		"plain, as Samba":    {func(c *Config) { c.URLs, c.AllowPlain = []string{f.URL}, true }, "the server wants an encrypted connection"},
		"wrong password":     {func(c *Config) { c.BindPassword = "env:WRONG_PASSWORD"; c.URLs = append(c.URLs, silent) }, "refuses the account"},
		"anonymous":          {func(c *Config) { c.BindDN, c.BindPassword = "", "" }, "shows its sites to nobody who is not signed in"},
	} {
		c := f.config()
		tc.change(&c)
		set, err := Read(t.Context(), c)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.want == "" && len(set.c.Subnets) != 200:
			t.Errorf("%s: %d subnets", name, len(set.c.Subnets))
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		case name == "wrong password" && (!errors.Is(err, ErrRefused) || strings.Contains(err.Error(), silent)):
			t.Errorf("a refused account was tried on the next server: %v", err)
		}
	}
	f.Pause()
	defer f.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Read(ctx, f.config()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("silent server: %v after %v", err, time.Since(began))
	}
}

// testExports proves that files give what the directory gives.
func (f *forest) testExports(t *testing.T) {
	set := f.mustRead(t)
	base := "CN=Sites," + f.ConfigDN
	ldbsearch := f.Ldb("", "ldbsearch", "-b", base)
	exports := map[string]string{
		"ldbsearch":             ldbsearch,
		"ldapsearch":            f.ldapsearch(t, "-b", base, "-E", "pr=50/noprompt"),
		"ldapsearch, unfolded":  f.ldapsearch(t, "-LLL", "-o", "ldif-wrap=no", "-b", base, "(|(objectClass=site)(objectClass=subnet)(objectClass=siteLink))"),
		"line ends of Windows":  strings.ReplaceAll(ldbsearch, "\n", "\r\n"),
		"as ldifde writes them": strings.ReplaceAll(ldbsearch, "\nobjectClass: top\n", "\nchangetype: add\nobjectClass: top\n"),
	}
	for name, text := range exports {
		got, err := ReadLDIF(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same(t, name, got, set)
	}
	if !strings.Contains(exports["as ldifde writes them"], "changetype: add") {
		t.Error("no record of type add was tried")
	}
}

// ldapsearch is what the administrator of a Linux machine types.
func (f *forest) ldapsearch(t *testing.T, args ...string) string {
	t.Helper()
	argv := append([]string{"-x", "-H", f.TLSURL, "-D", f.config().BindDN, "-w", os.Getenv("SITES_PASSWORD")}, args...)
	cmd := exec.CommandContext(t.Context(), "ldapsearch", argv...)
	cmd.Env = append(os.Environ(), "LDAPTLS_CACERT="+f.CAFile)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ldapsearch: %v", err)
	}
	return string(out)
}

// same compares all but where and when a set was read.
func same(t *testing.T, name string, got, want *Set) {
	t.Helper()
	g, w := got.c, want.c
	g.Source, g.Read = w.Source, w.Read
	if fmt.Sprint(g) != fmt.Sprint(w) {
		t.Errorf("%s: the sets differ:\n%v\n%v", name, g, w)
	}
	a, errA := indexed(g).MarshalJSON()
	b, errB := indexed(w).MarshalJSON()
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("%s: the sets are written differently: %v, %v", name, errA, errB)
	}
}

func (f *forest) testBridges(t *testing.T) {
	before := f.mustRead(t)
	transport := "CN=IP,CN=Inter-Site Transports,CN=Sites," + f.ConfigDN
	f.Ldb("dn: "+transport+"\nchangetype: modify\nreplace: options\noptions: 2\n-\n", "ldbmodify")
	defer f.Ldb("dn: "+transport+"\nchangetype: modify\nreplace: options\n-\n", "ldbmodify")
	set := f.mustRead(t)
	owners := map[string]int{"Prague": 0, "NewYork": 1}
	if set.Transitive() {
		t.Fatal("links are transitive although the transport requires bridges")
	}
	if got, want := steps(set.Order("Vienna", owners)), "0: site Prague, cost 50; 1: site NewYork, no path of site links"; got != want {
		t.Errorf("without a bridge: %s", got)
	}
	changes := Diff(before, set, func(*Set) map[string]int { return owners })
	if !slices.Contains(changes.Lines(), "site links are not transitive any more: bridges are required") || changes.Shifted["Vienna"] == 0 || changes.Shifted[defaultSite] != 0 {
		t.Errorf("changes: %q", changes.Lines())
	}
	f.Add(fmt.Sprintf("dn: %s\nobjectClass: siteLinkBridge\nsiteLinkList: %s\nsiteLinkList: %s\n",
		f.link("over London"), f.link("core"), f.link("atlantic")))
	defer f.Ldb("", "ldbdel", f.link("over London"))
	set = f.mustRead(t)
	for site, want := range map[string]string{
		"Vienna": "0: site Prague, cost 50; 1: site NewYork, cost 350",
		"Brno":   "0: site Prague, cost 100; 1: site NewYork, no path of site links", // north is not in the bridge
	} {
		if got := steps(set.Order(site, owners)); got != want {
			t.Errorf("with a bridge, from %s: %s, want %s", site, got, want)
		}
	}
}

// testProblems leaves the forest with everything that can be wrong in one. Samba refuses names of
// subnets that are none, as Windows does; the renames get round that as replication does.
func (f *forest) testProblems(t *testing.T) {
	const guid = "9b8b2a7c-0000-4000-8000-000000000000"
	const conflict = `\0ACNF:` + guid
	subnets := ourSubnets()
	rename := func(i int, name string) {
		f.ForceRename(f.subnet(subnets[i].Prefix.String()), f.subnet(name))
	}
	rename(2, "10.0.0.0/16"+conflict)
	rename(3, "10.1.0.1/16")
	rename(4, "office")
	rename(5, "010.3.0.0/16")
	rename(199, "2001:0db8:3b::/48") // beside 2001:db8:3b::/48
	f.move("", subnets[6])
	f.Add("dn: " + f.site("Prague"+conflict) + "\nobjectClass: site\n\n" +
		"dn: " + f.site("Ghost") + "\nobjectClass: site\n\n" +
		f.subnetLDIF(Subnet{Prefix: netip.MustParsePrefix("10.250.0.0/16"), Site: "Ghost"}) +
		f.linkLDIF("core"+conflict, 50, "Prague", "London") +
		f.linkLDIF("haunted", 50, "Ghost", "London") +
		"dn: " + f.link("negative") + "\nobjectClass: siteLink\ncost: -5\nsiteList: " + f.site("Brno") + "\nsiteList: " + f.site("London") + "\n\n")
	f.Add(f.subnetLDIF(Subnet{Prefix: netip.MustParsePrefix("2001:db8:3b::/48"), Site: "Brno"}))
	f.Ldb("", "ldbdel", f.site("Ghost"))

	set := f.mustRead(t)
	left := make(map[string]string)
	for _, p := range set.Problems() {
		left[p.Object] = p.What
	}
	for object, want := range map[string]string{
		f.subnet("10.0.0.0/16" + conflict): "conflict object",
		f.subnet("10.1.0.1/16"):            `"10.1.0.1/16" has bits of the host set: write 10.1.0.0/16`,
		f.subnet("office"):                 `"office" is no subnet`,
		f.subnet("010.3.0.0/16"):           "is no subnet",
		f.subnet("10.4.0.0/16"):            "has no site",
		f.subnet("10.250.0.0/16"):          "has no site", // the directory takes a deleted site's links away
		"subnet 2001:db8:3b::/48":          "is written in two ways, for site London and for site Brno: the first counts",
		f.site("Prague" + conflict):        "conflict object",
		f.link("core" + conflict):          "conflict object",
		f.link("haunted"):                  "joins 1 usable sites",
		f.link("negative"):                 `has the cost "-5"`,
		f.link("DEFAULTIPSITELINK"):        "joins 1 usable sites",
	} {
		if got := left[object]; !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", object, got, want)
		}
		delete(left, object)
	}
	if len(left) > 0 {
		t.Errorf("and: %v", left)
	}
	if sites, subnets, links := set.Len(); sites != 6 || subnets != 195 || links != 3 {
		t.Errorf("%d sites, %d subnets, %d links are left", sites, subnets, links)
	}
	got, err := ReadLDIF(strings.NewReader(f.ldapsearch(t, "-b", "CN=Sites,"+f.ConfigDN)))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "export with everything wrong in it", got, set)
}

// testRanges asks for the sites of a link one at a time, as a server with little room gives them.
func (f *forest) testRanges(t *testing.T) {
	e, err := f.config().endpoint(f.TLSURL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context(), e, f.AdminUser, f.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	asked := 0
	oneByOne := func(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
		asked++
		narrow := *req
		narrow.Attributes = []string{strings.Replace(req.Attributes[0], "-*", "-"+fmt.Sprint(asked), 1)}
		return s.search(&narrow)
	}
	found, err := s.search(ldap.NewSearchRequest(f.link("core"), ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		1, 0, false, "(objectClass=*)", []string{"siteList;range=0-0"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := fromLDAP(oneByOne, found.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got.attrs["sitelist"])
	if want := []string{f.site("London"), f.site("Prague"), f.site("Vienna")}; asked != 2 || !slices.Equal(got.attrs["sitelist"], want) {
		t.Errorf("after %d questions: %v", asked, got.attrs)
	}
}

// testPages needs more subnets than fit into one page.
func (f *forest) testPages(t *testing.T) {
	before := f.mustRead(t)
	var b strings.Builder
	for i := range pageSize {
		b.WriteString(f.subnetLDIF(Subnet{Prefix: netip.MustParsePrefix(fmt.Sprintf("172.16.%d.%d/31", i/100, i%100*2)), Site: "Vienna"}))
	}
	f.Add(b.String())
	changes := Diff(before, f.mustRead(t), nil)
	if len(changes.Added) != pageSize || changes.Count() != pageSize {
		t.Errorf("%d added of %d changes", len(changes.Added), changes.Count())
	}
}
