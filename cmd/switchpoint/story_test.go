package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"switchpoint/broker/client"
	"switchpoint/directory/demodir"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
)

// ldifUsers is how many people the real directory holds, the demo's own among them.
const ldifUsers = 1000

// TestStoryWithEmbeddedDirectory is `switchpoint demo --once`.
func TestStoryWithEmbeddedDirectory(t *testing.T) {
	s := newStage(t, stageOptions{})
	var out bytes.Buffer
	err := playStory(t.Context(), &out, s)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}

// TestStoryWithSlapd plays the same story over OpenLDAP, after a crowd of its users has signed in.
func TestStoryWithSlapd(t *testing.T) {
	covers.Req(t, "RD5", "TP1")
	slapd := realserver.Slapd(t, realserver.SlapdOptions{Suffix: demodir.BaseDN, LDIF: storyLDIF()})
	s := newStage(t, stageOptions{directoryURL: slapd.TLSURL, directoryCA: slapd.CAFile})
	crowdSignsIn(t, s)
	var out bytes.Buffer
	err := playStory(t.Context(), &out, s)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
}

// newStage starts the demo's processes from this test binary.
func newStage(t *testing.T, o stageOptions) *stage {
	t.Helper()
	t.Setenv(asMain, "1")
	dir := shortDir(t)
	s, err := prepareStage(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			logTails(t, s)
		}
	})
	var out bytes.Buffer
	if err := s.start(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return s
}

func logTails(t *testing.T, s *stage) {
	t.Helper()
	for _, p := range s.processes {
		text, err := os.ReadFile(p.log)
		if err != nil {
			continue
		}
		t.Logf("%s:\n%s", p.name, text[max(0, len(text)-3000):])
	}
}

// storyLDIF is the demo's people and a crowd around them, all with the same kind of entry.
func storyLDIF() string {
	var b strings.Builder
	entry := func(lines ...string) { b.WriteString(strings.Join(lines, "\n") + "\n\n") }
	for _, ou := range []string{"OU=US", "OU=UK", "OU=Staff,OU=US", "OU=Staff,OU=UK", "OU=Travellers,OU=US"} {
		entry("dn: "+ou+","+demodir.BaseDN, "objectClass: organizationalUnit")
	}
	entry("dn: "+demodir.ServiceDN, "objectClass: organizationalRole", "objectClass: simpleSecurityObject",
		"userPassword: "+demodir.ServicePassword)
	person := func(dn, uid, password string) {
		entry("dn: "+dn, "objectClass: inetOrgPerson", "uid: "+uid, "cn: "+uid, "sn: "+uid, "userPassword: "+password)
	}
	users := demodir.Users()
	for _, u := range users {
		person(u.DN, u.Name, u.Password)
	}
	for i := len(users); i < ldifUsers; i++ {
		person(fmt.Sprintf("uid=%s,OU=Staff,OU=UK,%s", crowdUser(i), demodir.BaseDN), crowdUser(i), crowdPassword(i))
	}
	return b.String()
}

func crowdUser(i int) string     { return fmt.Sprintf("user%04d", i) }
func crowdPassword(i int) string { return fmt.Sprintf("secret-of-%04d", i) }

// crowdSignsIn lets a spread of the crowd sign in eight at a time, without taking the few
// pooled desktops.
func crowdSignsIn(t *testing.T, s *stage) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for i := 10; i < ldifUsers; i += 20 {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			out, err := client.Login(ctx, client.Options{
				URL: s.signInURL(), DNS: s.dns("uk"), Source: netip.MustParseAddr(clientUK),
				CA: s.path("certs", "ca.pem"), User: crowdUser(i), Password: crowdPassword(i),
				OffersOnly: true,
			})
			if err == nil && (out.Broker.Cluster != "uk" || len(out.Offers) == 0) {
				err = fmt.Errorf("cluster %q with %d offers", out.Broker.Cluster, len(out.Offers))
			}
			if err != nil {
				return fmt.Errorf("%s: %w (%v)", crowdUser(i), err, out.Hops)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
