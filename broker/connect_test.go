package broker_test

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker"
)

// localSetup needs no directory: users u0..u9 with the password "p".
func localSetup(t *testing.T) broker.Setup {
	t.Helper()
	hash, err := broker.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	s := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: "own", Kind: "assigned"}, {Name: "floor", Kind: "pooled"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"floor"}}},
	}
	for i := range 10 {
		s.Users = append(s.Users, broker.LocalUser{Name: "u" + strconv.Itoa(i), Password: hash})
	}
	return s
}

// desktopHost is a port that takes connections, as a running desktop does, or one that does not.
func desktopHost(t *testing.T, up bool) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if up {
		t.Cleanup(func() { l.Close() })
	} else {
		l.Close()
	}
	return "127.0.0.1", l.Addr().(*net.TCPAddr).Port
}

func (r *running) connect(t *testing.T, token string, o broker.OfferID) (broker.Connection, string) {
	t.Helper()
	c, err := r.Connect(t.Context(), broker.ConnectRequest{Token: token, Offer: o.String(), ClientAddr: "192.0.2.7"})
	return c, refusalCode(err)
}

// TestConnectHealthFirst: a desktop that does not answer is not given out (BR3).
func TestConnectHealthFirst(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	upHost, upPort := desktopHost(t, true)
	downHost, downPort := desktopHost(t, false)
	s.Desktops = []broker.Desktop{
		{Name: "own-up", Pool: "own", Host: upHost, Port: upPort},
		{Name: "own-down", Pool: "own", Host: downHost, Port: downPort},
		{Name: "floor-up", Pool: "floor", Host: upHost, Port: upPort},
		{Name: "floor-down", Pool: "floor", Host: downHost, Port: downPort},
	}
	s.Assignments = []broker.Assignment{{User: "u0", Desktop: "own-up"}, {User: "u1", Desktop: "own-down"}}
	b.fill(t, s)

	u0 := b.Login(t.Context(), login("u0", "p"))
	c, code := b.connect(t, u0.Token, u0.Offers[0].ID)
	if code != "" || c.Desktop != "own-up" || c.Host != upHost || c.Port != upPort || c.Protocol != "rdp" {
		t.Errorf("own desktop: %+v, %s", c, code)
	}
	want := "full address:s:127.0.0.1:" + strconv.Itoa(upPort) + "\r\nusername:s:u0\r\n"
	if !strings.HasPrefix(c.File.Text, want) || strings.Contains(c.File.Text, "password") || c.File.Name != "own-up.rdp" {
		t.Errorf("connection file %+v", c.File)
	}
	if c, code := b.connect(t, u0.Token, u0.Offers[1].ID); code != "" || c.Desktop != "floor-up" {
		t.Errorf("the one pooled desktop that answers: %+v, %s", c, code)
	}
	u1 := b.Login(t.Context(), login("u1", "p"))
	for _, o := range u1.Offers { // his own, and what is left in the pool
		if c, code := b.connect(t, u1.Token, o.ID); code != broker.CodeUnreachable {
			t.Errorf("a desktop that does not answer: %+v, %s", c, code)
		}
	}
	now, offers, err := b.Offers(t.Context(), u1.Token, "192.0.2.7")
	if err != nil || now.User != "u1" || offers[1].State != broker.OfferAvailable {
		t.Errorf("a refused connect left a claim: %+v, %v", offers, err)
	}
}

// TestConnectSearchesThePool: desktops that do not answer do not hide the one that does.
func TestConnectSearchesThePool(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	upHost, upPort := desktopHost(t, true)
	downHost, downPort := desktopHost(t, false)
	s.Desktops = []broker.Desktop{{Name: "up", Pool: "floor", Host: upHost, Port: upPort}}
	for i := range 14 {
		s.Desktops = append(s.Desktops, broker.Desktop{Name: "down-" + strconv.Itoa(i), Pool: "floor", Host: downHost, Port: downPort})
	}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	if c, code := b.connect(t, in.Token, in.Offers[0].ID); code != "" || c.Desktop != "up" {
		t.Errorf("%+v, %s", c, code)
	}
}

// TestConnectAtOnce: users of two brokers race for too few desktops; each is given out once.
func TestConnectAtOnce(t *testing.T) {
	t.Parallel()
	for _, check := range []string{"none", "dial"} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			brokers := []*running{c.start(1, nil), c.start(2, nil)}
			s := localSetup(t)
			s.DesktopPools[1].Check = check
			for i := range 4 {
				host, port := desktopHost(t, true)
				s.Desktops = append(s.Desktops, broker.Desktop{Name: "d" + strconv.Itoa(i), Pool: "floor", Host: host, Port: port})
			}
			brokers[0].fill(t, s)
			var mu sync.Mutex
			got := make(map[string]int)
			var wg sync.WaitGroup
			for i := range 10 {
				in := brokers[0].Login(t.Context(), login("u"+strconv.Itoa(i), "p"))
				if in.Token == "" {
					t.Fatalf("%+v", in)
				}
				wg.Go(func() {
					c, code := brokers[i%2].connect(t, in.Token, in.Offers[0].ID)
					mu.Lock()
					defer mu.Unlock()
					got[c.Desktop+code]++
				})
			}
			wg.Wait()
			if got["d0"] != 1 || got["d1"] != 1 || got["d2"] != 1 || got["d3"] != 1 || got[broker.CodeNoDesktop] != 6 {
				t.Errorf("desktops and refusals: %v", got)
			}
		})
	}
}

func TestConnectRefusals(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, nil)
	s := localSetup(t)
	s.DesktopPools[0].Check, s.DesktopPools[1].Check = "none", "none"
	s.Desktops = []broker.Desktop{{Name: "own", Pool: "own", Host: "h", State: "maintenance"}, {Name: "f1", Pool: "floor", Host: "h"}, {Name: "f2", Pool: "floor", Host: "h"}}
	s.Policies[0].MaxOffers = 2
	s.Assignments = []broker.Assignment{{User: "u0", Desktop: "own"}}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	connect := func(token, offer, key string) string {
		_, err := b.Connect(t.Context(), broker.ConnectRequest{Token: token, Offer: offer, Key: key})
		if r, ok := err.(*broker.Refusal); ok && r.Code == broker.CodeSessionExpired {
			if r.Ref != "" {
				t.Errorf("reference %s leads to no log row", r.Ref)
			}
		} else if ok {
			if row, err := b.ExplainRef(t.Context(), r.Ref); err != nil || row.Code != r.Code || row.User != "u0" {
				t.Errorf("log row of %s: %+v, %v", r.Code, row, err)
			}
		}
		return refusalCode(err)
	}
	own, floor, floor2 := in.Offers[0].ID.String(), in.Offers[1].ID.String(), in.Offers[2].ID.String()
	for _, c := range []struct{ what, token, offer, key, want string }{
		{"maintenance", in.Token, own, "", broker.CodeMaintenance},
		{"no token", "", own, "", broker.CodeSessionExpired},
		{"a token of nobody", "sp1.1." + strings.Repeat("A", 43), own, "", broker.CodeSessionExpired},
		{"no offer id", in.Token, "floor", "", broker.CodeOfferUnknown},
		{"an offer of nobody", in.Token, "d:0190a5b0-0000-7000-8000-000000000000", "", broker.CodeOfferUnknown},
		{"a good one with a key", in.Token, floor, "k", ""},
		{"the same again", in.Token, floor, "k", ""},
		{"the key for another offer", in.Token, floor2, "k", broker.CodeKeyReused},
	} {
		if got := connect(c.token, c.offer, c.key); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	if err := b.Logout(t.Context(), in.Token, "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	if got := connect(in.Token, floor, ""); got != broker.CodeSessionExpired {
		t.Errorf("after the logout: %q", got)
	}
	if err := b.Logout(t.Context(), in.Token, ""); refusalCode(err) != broker.CodeSessionExpired {
		t.Errorf("a second logout: %v", err)
	}
	if other := b.Login(t.Context(), login("u1", "p")); other.Offers[0].State != broker.OfferAvailable {
		t.Errorf("the logout released nothing: %+v", other.Offers)
	}
}

// TestSessionSurvivesItsBroker: the session of a dead broker goes on at another one (DC3).
func TestSessionSurvivesItsBroker(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.start(1, nil), c.start(2, nil)
	s := localSetup(t)
	s.DesktopPools[1].Check = "none"
	s.Desktops = []broker.Desktop{{Name: "floor", Pool: "floor", Host: "h", Protocol: "ssh"}}
	a.fill(t, s)
	in := a.Login(t.Context(), login("u0", "p"))
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	a.store.Close()
	session, offers, err := b.Offers(t.Context(), in.Token, "192.0.2.7")
	if err != nil || session.SiteID != 1 || len(offers) != 1 {
		t.Fatalf("%+v, %+v, %v", session, offers, err)
	}
	conn, code := b.connect(t, in.Token, offers[0].ID)
	if code != "" || conn.File.Text != "ssh://u0@h:22\r\n" || conn.File.MIME != "text/uri-list" {
		t.Errorf("%+v, %s", conn, code)
	}
}

// TestExpiredSession: a session ends at its time.
func TestExpiredSession(t *testing.T) {
	t.Parallel()
	b := newCluster(t).start(1, func(o *broker.Options) { o.Config.SessionLifetime = time.Second })
	s := localSetup(t)
	s.Desktops = []broker.Desktop{{Name: "floor", Pool: "floor", Host: "h"}}
	b.fill(t, s)
	in := b.Login(t.Context(), login("u0", "p"))
	eventually(t, "the session expires", func() bool {
		_, _, err := b.Offers(t.Context(), in.Token, "192.0.2.7")
		return refusalCode(err) == broker.CodeSessionExpired
	})
}
