package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
	"switchpoint/broker/client"
	"switchpoint/broker/sqlite"
	"switchpoint/internal/covers"
)

// TestRoaming plays the story of RD5 with three clusters: users type their password at the uk, where they
// are, and reach the desktop at home, or learn why not. Nobody types it twice.
func TestRoaming(t *testing.T) {
	covers.Req(t, "RD4", "RD5", "RD7", "RD8", "RD9")
	w := startThreeClusters(t)
	w.until("everybody sees all others up", func() bool {
		return strings.Count(w.list("uk"), " is up: ") == 4 && strings.Count(w.list("us"), " is up: ") == 3
	})

	// bob is at home; alice is sent to the us, whose directory does not know her password.
	w.inAt("uk", w.password("uk", "bob"))
	ticket := w.sentHome("alice", "us")
	if res := w.password("us", "alice"); res.Result != api.ResultRefused || res.Reason.Code != broker.CodeSignInFailed {
		t.Fatalf("the test proves nothing, the password is good in the us: %s", shown(res))
	}
	w.inAt("us", w.byTicket("us", ticket))
	w.refused("us", w.byTicket("us", ticket), broker.CodeTicket, broker.ErrTicketUsed.Error())
	w.refused("de", w.byTicket("de", w.sentHome("alice", "us")), broker.CodeTicket, "the ticket is for cluster us, not for de")
	w.minted(t)

	// A thin client does all of that with one word from the user.
	out, err := client.Login(t.Context(), client.Options{
		URL: w.url("uk"), CA: filepath.Join(w.dir, "ca.pem"), User: "alice", Password: roamingPassword,
	})
	if err != nil || out.Broker.Cluster != "us" || out.Desktop == nil {
		t.Fatalf("a thin client: %+v, %v", out, err)
	}

	// One that cannot follow a redirect gets there through the uk, with the ticket: the us does not know the password.
	out, err = client.Login(t.Context(), client.Options{
		URL: w.url("uk"), CA: filepath.Join(w.dir, "ca.pem"), User: "alice", Password: roamingPassword, Client: api.Client{Name: "old thin client", NoRedirect: true},
	})
	if err != nil || out.Broker.Cluster != "us" || out.Desktop == nil || slices.ContainsFunc(out.Hops, func(h client.Hop) bool { return h.Step == "redirect" }) {
		t.Fatalf("a thin client without redirects: %+v, %v", out, err)
	}

	// if_assigned_only: dora has a desktop in de, dirk has none, and nobody answers for quinn.
	w.inAt("de", w.byTicket("de", w.sentHome("dora", "de")))
	w.inAt("uk", w.password("uk", "dirk"))
	w.explained("dirk", "does not apply, no desktop is assigned there (cluster de said so")
	began := time.Now()
	w.inAt("uk", w.password("uk", "quinn"))
	if took := time.Since(began); took < time.Second {
		t.Errorf("a silent cluster was given %s", took)
	}
	w.explained("quinn", "does not apply, no answer on whether a desktop is assigned there")

	// A home that is down, a loop, and a broker that takes no tickets.
	w.until("gone is seen to be down", func() bool { return strings.Contains(w.list("uk"), "connection refused") })
	w.refused("uk", w.password("uk", "gina"), broker.CodeHomeUnavailable, "no destination can be reached: home_unavailable says refuse")
	w.refused("us", w.byTicket("us", w.sentHome("luis", "us")), broker.CodeHomeUnavailable, "the login has already been to cluster uk")
	if ticket := w.sentHome("paul", "us"); ticket != "" {
		t.Error("a plain destination got a ticket")
	}

	// The first destination dies: the next rule that matches counts.
	w.brokers["us"].kill()
	w.until("the us is seen to be down", func() bool {
		_, out, _ := cli(t, "redirect", "test", "--node", w.state("uk"), "--user", "alice")
		return strings.Contains(out, "home:        de at "+w.url("de"))
	})
	w.inAt("de", w.byTicket("de", w.sentHome("alice", "de")))
	list := w.list("uk")
	for _, want := range []string{"ou=US > us                         4     forward 4", "ou=US > de                         1     forward 1", "ou=Gone > gone                     1     home-unavailable 1"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list has no %q:\n%s", want, list)
		}
	}
	w.noSecrets(t, ticket)
}

// minted presents tickets that only who has the key of the uk can make: it stands in the uk's database.
func (w *threeClusters) minted(t *testing.T) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(w.state("uk"), "broker.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, err := s.Join(t.Context(), broker.Node{Name: "guest", SiteID: 99, Version: buildVersion()}, broker.Cluster{Name: "uk"}, broker.Liveness)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Leave(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mint := func(issued time.Time, seed [32]byte) string {
		payload, err := json.Marshal(broker.Ticket{
			Issuer: "uk", Audience: "us", Directory: "corp", Entry: "5f1d0c3e-0000-4000-8000-000000000001", User: "alice",
			ID: base64.RawURLEncoding.EncodeToString([]byte(time.Now().Format("05.000000000 abc"))[:16]), Issued: issued.UnixMilli(), Expires: issued.Add(time.Minute).UnixMilli(), Visited: []string{"uk"},
		})
		if err != nil {
			t.Fatal(err)
		}
		signed := "st1." + base64.RawURLEncoding.EncodeToString(payload)
		return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), []byte(signed)))
	}
	w.inAt("us", w.byTicket("us", mint(time.Now(), m.Cluster.TicketKey)))
	w.refused("us", w.byTicket("us", mint(time.Now().Add(-61*time.Second), m.Cluster.TicketKey)), broker.CodeTicket, "the ticket has expired")
	w.refused("us", w.byTicket("us", mint(time.Now(), [32]byte{1})), broker.CodeTicket, "the ticket's signature is not the issuer's")
}

// explained wants the uk to give a reason in what it would do with a user.
func (w *threeClusters) explained(user, why string) {
	w.t.Helper()
	exit, out, errOut := cli(w.t, "redirect", "test", "--node", w.state("uk"), "--user", user)
	if exit != 0 || !strings.Contains(out, why) {
		w.t.Errorf("no %q for %s: exit %d, %s\n%s", why, user, exit, errOut, out)
	}
}

func (w *threeClusters) list(cluster string) string {
	w.t.Helper()
	exit, out, errOut := cli(w.t, "redirect", "--node", w.state(cluster))
	if exit != 0 {
		w.t.Fatalf("exit %d, %s", exit, errOut)
	}
	return out
}

func (w *threeClusters) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// noSecrets looks for what must stand in no log.
func (w *threeClusters) noSecrets(t *testing.T, ticket string) {
	t.Helper()
	for c, p := range w.brokers {
		text, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{roamingPassword, ticket, "st1."} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a secret stands in the log of %s", c)
			}
		}
	}
}
