package broker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchpoint/directory"
	"switchpoint/internal/problem"
	"switchpoint/redirect"
)

func FuzzParseToken(f *testing.F) {
	f.Add(newToken(7).String())
	f.Add("sp1.0.AAAA")
	f.Add("sp1.01." + strings.Repeat("A", 43))
	f.Add("sp2.1." + strings.Repeat("A", 43))
	f.Add(strings.Repeat(".", 64))
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err == nil && token.String() != s {
			t.Errorf("%q was read as %q", s, token)
		}
	})
}

func FuzzParseOfferID(f *testing.F) {
	f.Add("d:0190a5b0-0000-7000-8000-000000000000")
	f.Add("p:0190a5b0-0000-7000-8000-000000000000:1")
	f.Add("p:0190a5b0-0000-7000-8000-000000000000:01")
	f.Add("d:{0190a5b0-0000-7000-8000-000000000000}")
	f.Add("p::::")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseOfferID(s)
		if err == nil && id.String() != s {
			t.Errorf("%q was read as %q", s, id)
		}
	})
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Add("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	f.Add("$argon2id$v=19$m=8,t=1,p=1,x=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err == nil && (p.String() != s || p.memory > maxArgonMemory || p.time > maxArgonTime) {
			t.Errorf("%q was read as %q", s, p)
		}
	})
}

func FuzzValidKey(f *testing.F) {
	f.Add("")
	f.Add("7d9f-key")
	f.Add("tab\there")
	f.Add(strings.Repeat("k", 201))
	f.Fuzz(func(t *testing.T, s string) {
		if ValidKey(s) && (s == "" || len(s) > 200 || strings.ContainsAny(s, "\r\n\x00")) {
			t.Errorf("%q is no key", s)
		}
	})
}

func TestHashPassword(t *testing.T) {
	s, err := HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePHC(s)
	if err != nil || !p.verify("secret") || p.verify("Secret") || p.verify("") {
		t.Errorf("%s: %v", s, err)
	}
	// From the reference implementation of argon2 (RFC 9106): echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1.
	ref := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if p, err := parsePHC(ref); err != nil || !p.verify("password") {
		t.Errorf("reference hash: %v", err)
	}
	for _, bad := range []string{"", strings.Repeat("x", maxPassword+1)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("a password of %d bytes was hashed", len(bad))
		}
	}
}

func TestToken(t *testing.T) {
	a, b := newToken(12), newToken(12)
	if a == b || !strings.HasPrefix(a.String(), "sp1.12.") {
		t.Errorf("%s, %s", a, b)
	}
	if got, err := ParseToken(a.String()); err != nil || got != a || got.Hash() != a.Hash() || a.Hash() == b.Hash() {
		t.Errorf("%v, %v", got, err)
	}
	if keyed([32]byte{}, "ab", "c") == keyed([32]byte{}, "a", "bc") {
		t.Error("two lists of parts look alike")
	}
}

// TestLocalUserWaits: a password check whose turn does not come ends with its context.
func TestLocalUserWaits(t *testing.T) {
	b := &Broker{hashing: make(chan struct{}, 1), gate: newGate(1, nil)}
	b.hashing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	users := &table{users: map[string]passwordHash{"x": phc{}}}
	if ok, err := b.localUser(ctx, users, "x", "y"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", ok, err)
	}
	if _, code := b.identify(ctx, users, &attempt{LoginRequest: LoginRequest{User: "x", Password: "y"}}); code != CodeBusy {
		t.Errorf("it counts as %q", code)
	}
}

// TestRefusalsWaitTheirTurn: in a flood of refusals a row that finds no turn is given up in time.
func TestRefusalsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Broker{recording: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
		b.recording <- struct{}{}
		start := time.Now()
		b.record(t.Context(), LogRow{Code: CodeBusy}, start)
		if took := time.Since(start); took != storeTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

func TestConnectionFile(t *testing.T) {
	f := (&table{}).connectionFile(Candidate{Name: `a/b"..`, Host: "2001:db8::1", Port: 3389, Protocol: ProtocolRDP}, "x\r\nalternate shell:s:calc.exe")
	if strings.Contains(f.Text, "\nalternate") || !strings.Contains(f.Text, "full address:s:[2001:db8::1]:3389\r\n") || f.Name != "a-b---.rdp" {
		t.Errorf("%+v", f)
	}
	f = (&table{}).connectionFile(Candidate{Name: "v", Host: "h", Port: 5900, Protocol: ProtocolVNC}, "x")
	if f.Text != "vnc://h:5900\r\n" {
		t.Errorf("%+v", f)
	}
}

func TestClip(t *testing.T) {
	if got := clip("a\r\nb\xff"); got != "a  b?" {
		t.Errorf("%q", got)
	}
	if got := clip(strings.Repeat("é", 300)); len(got) > 256 || strings.Trim(got, "é") != "" {
		t.Errorf("%d bytes", len(got))
	}
}

// problems gives the places of an error.
func problems(err error) string {
	list, _ := err.(problem.List)
	var paths []string
	for _, p := range list {
		if p.What == "" || p.Cure == "" {
			return "without what or cure: " + p.Error()
		}
		paths = append(paths, p.Path)
	}
	return strings.Join(paths, " ")
}

func TestConfigValidate(t *testing.T) {
	good := Config{Cluster: "uk", SiteID: 1, Listen: []string{"127.0.0.1:443"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := Config{SiteID: 65536, Listen: []string{"localhost:443", "127.0.0.1:1", "127.0.0.1:1"}, Cert: "x", TrustedProxies: []string{"10.0.0.0/8", "x"},
		IsAlive: "maybe", Capacity: -1, AnswerWithin: -1, LoginDeadline: -1, SessionLifetime: 1, SessionExpiry: "3m", LogRetention: 1, DesktopPatience: 1, Database: Database{Kind: "oracle"}}
	want := "cluster site_id listen[0] listen[2] cert trusted_proxies[1] is_alive capacity answer_within login_deadline session_lifetime session_expiry log_retention desktop_patience database.kind"
	if got := problems(bad.Validate()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := problems((Config{Cluster: " x", SiteID: 1}).Validate()); got != "cluster listen" {
		t.Error(got)
	}
}

func TestSetupValidate(t *testing.T) {
	hash, err := HashPassword("x")
	if err != nil {
		t.Fatal(err)
	}
	dir := func(name string) Directory {
		return Directory{Config: directory.Config{Name: name, Servers: []string{"ldaps://dc"}, BaseDN: "dc=x"}}
	}
	ruled := dir("corp")
	ruled.Redirect = &redirect.Config{Attribute: "c", Match: "equals", Rules: "US > nowhere"}
	pools := []DesktopPool{{Name: "own", Kind: KindAssigned}, {Name: "floor", Kind: KindPooled}}
	for _, c := range []struct {
		name, want string
		s          Setup
	}{
		{"empty", "", Setup{}},
		{"good", "", Setup{
			Directories: []Directory{dir("corp")}, DesktopPools: pools, Desktops: []Desktop{{Name: "d", Pool: "own", Host: "h"}},
			Destinations: []redirect.Destination{{Name: "us", URL: "https://us", Cluster: "us", Monitor: "m"}, {Name: "here", URL: "https://uk", Cluster: "uk"}},
			Policies:     []Policy{{Name: "p", Attribute: "memberOf", Match: "equals", Value: `quote " backslash \ >`, Pools: []string{"floor"}}, {Name: "rest"}},
			Assignments:  []Assignment{{User: "x", Desktop: "d"}, {User: "y", Directory: LocalDirectory, Desktop: "d"}}[:1],
			Users:        []LocalUser{{Name: "x", Password: hash}},
		}},
		{"directories", "directory[0].name directory[1].servers directory[1].base_dn directory[2].name directory[3].name", Setup{
			Directories: []Directory{dir("local"), {Config: directory.Config{Name: "a"}}, dir("a"), dir("")},
		}},
		{"rules", "directory[0].redirect.rules", Setup{Directories: []Directory{ruled}}},
		{"destinations", "destination[1].name destination[1].monitor destination[2].url", Setup{Destinations: []redirect.Destination{
			{Name: "us", URL: "https://us", Cluster: "us"}, {Name: "us", URL: "https://us", Cluster: "us", Monitor: "other"},
			{Name: "here", URL: "ftp://uk", Cluster: "uk"},
		}}},
		{"pools", "desktop_pool[0].kind desktop_pool[1].name desktop_pool[1].check desktop_pool[2].name", Setup{DesktopPools: []DesktopPool{
			{Name: "a"}, {Name: "a", Kind: KindPooled, Check: "ping"}, {Name: "x\ny", Kind: KindPooled},
		}}},
		{"desktops", "desktop[0].pool desktop[0].host desktop[1].protocol desktop[1].state desktop[2].name desktop[2].host desktop[3].protocol desktop[3].port", Setup{
			DesktopPools: pools, Desktops: []Desktop{
				{Name: "a", Pool: "nope", Host: "h\r\nx"}, {Name: "b", Pool: "own", Host: "h", Protocol: "telnet", State: "broken"},
				{Name: "b", Pool: "own", Host: "h:1", Port: 1},
				{Name: "c", Pool: "own", Host: "h", Protocol: "telnet", Port: 65536},
			}}},
		{"policies", "policy[0].attribute policy[0].desktop_pools[0] policy[1].desktop_pools[2] policy[1].max_offers policy[1] policy[2].value policy[2]", Setup{
			DesktopPools: pools, Policies: []Policy{
				{Name: "a", Value: "x", Pools: []string{"nope"}}, {Name: "b", MaxOffers: 65, Pools: []string{"floor", "own", "floor"}},
				{Name: "c", Attribute: "x", Match: "regex", Value: "("},
			}}},
		{"assignments", "assignment[0].directory assignment[0].desktop assignment[1].desktop assignment[3].user assignment[3].desktop", Setup{
			DesktopPools: pools, Desktops: []Desktop{{Name: "d", Pool: "own", Host: "h"}, {Name: "f", Pool: "floor", Host: "h"}},
			Assignments: []Assignment{{User: "x", Directory: "nope", Desktop: "nope"}, {User: "x", Desktop: "f"}, {User: "x", Desktop: "d"}, {Desktop: "d"}},
		}},
		{"users", "user[0].password user[1].name", Setup{Users: []LocalUser{{Name: "x", Password: "plain"}, {Name: "X ", Password: hash}}}},
	} {
		if got := problems(c.s.Validate([]string{"m"}, "uk")); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s\n%v", c.name, got, c.want, c.s.Validate([]string{"m"}, "uk"))
		}
	}
}
