package broker

import (
	"reflect"
	"strings"
	"testing"

	"switchpoint/internal/problem"
)

func TestChoosePolicy(t *testing.T) {
	var policies []policy
	for _, p := range []Policy{
		{Name: "office", Attribute: "department", Match: "equals", Value: "CAD", Locations: []string{"10.1.0.0/16", "2001:db8::/32"}, Pools: []string{"gpu"}, Protocol: "pcoip", MaxOffers: 2},
		{Name: "desk", Locations: []string{"10.2.0.7"}, Pools: []string{"floor", "own"}, Order: OrderLRU},
		{Name: "all", Pools: []string{"floor", "own"}, MaxSessions: 3, Order: OrderRandom},
	} {
		c, err := compilePolicy(p)
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, c)
	}
	kinds := map[string]string{"gpu": KindPooled, "floor": KindPooled, "own": KindAssigned}
	cad, sales := map[string][]string{"department": {"CAD"}}, map[string][]string{"department": {"Sales"}}
	for _, tc := range []struct {
		attributes map[string][]string
		client     string
		want       []Grant
		why        string
	}{
		{cad, "10.1.2.3", []Grant{{Pool: "gpu", MaxOffers: 2, Protocol: "pcoip"}}, `policy "office": department equals "CAD" and the client is in 10.1.0.0/16 or 2001:db8::/32`},
		{cad, "::ffff:10.1.2.3", []Grant{{Pool: "gpu", MaxOffers: 2, Protocol: "pcoip"}}, `policy "office"`},
		{cad, "2001:db8::7", []Grant{{Pool: "gpu", MaxOffers: 2, Protocol: "pcoip"}}, `policy "office"`},
		{sales, "10.1.2.3", []Grant{{Pool: "floor", MaxSessions: 3, Order: OrderRandom}}, `policy "all": it is for everybody`},
		{cad, "10.2.0.7", []Grant{{Pool: "floor", Order: OrderLRU}}, `policy "desk": the client is in 10.2.0.7`},
		{cad, "nowhere", []Grant{{Pool: "floor", MaxSessions: 3, Order: OrderRandom}}, `policy "all"`},
	} {
		p, ok, why := choosePolicy(policies, tc.attributes, tc.client)
		got := p.grants(kinds)
		if !ok || !reflect.DeepEqual(got, tc.want) || !strings.HasPrefix(why, tc.why) {
			t.Errorf("%v at %s: %+v, %s", tc.attributes, tc.client, got, why)
		}
	}
	if _, ok, why := choosePolicy(policies[:2], sales, "192.0.2.1"); ok || why != "no policy matches" {
		t.Errorf("%v, %s", ok, why)
	}
}

func TestArrange(t *testing.T) {
	offers := []Offer{
		{Name: "mine", Pool: "own", Kind: KindAssigned, State: OfferAvailable, Protocol: "rdp"},
		{Name: "a", Pool: "floor", Kind: KindPooled, State: OfferAvailable, Protocol: "rdp"},
		{Name: "b", Pool: "gpu", Kind: KindPooled, State: OfferRunning, Protocol: "rdp"},
		{Name: "c", Pool: "gpu", Kind: KindPooled, State: OfferAvailable, Protocol: "rdp"},
	}
	s := Session{Grants: []Grant{{Pool: "floor"}, {Pool: "gpu", Protocol: "vnc", MaxSessions: 1}, {Pool: "own", Protocol: "ssh"}}}
	var got []string
	for _, o := range arrange(offers, s) {
		got = append(got, o.Name+" "+o.State+" "+o.Protocol)
	}
	if want := "b running vnc, mine available ssh, a unavailable rdp, c unavailable vnc"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if offers[1].State != OfferAvailable {
		t.Error("the store's list was changed")
	}
	tab := &table{ports: Setup{}.protocolPorts()}
	if c := tab.override(Candidate{Pool: "gpu", Protocol: "rdp", Port: 3390}, s.Grants); c.Protocol != "vnc" || c.Port != 5900 {
		t.Errorf("%+v", c)
	}
	if c := tab.override(Candidate{Pool: "gpu", Protocol: "vnc", Port: 5999}, s.Grants); c.Port != 5999 {
		t.Errorf("%+v", c)
	}
}

func TestTemplate(t *testing.T) {
	text, err := parseTemplate("{{a}} {host}:{port} {user}\n{desktop}")
	if err != nil {
		t.Fatal(err)
	}
	got := text.fill(Candidate{Host: "h", Port: 7, Name: "d\r\nx"}, "u{host}\n")
	if got != "{a} h:7 u{host}\ndx" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", " \n", "{", "}", "{host", "host}", "{password}", "{PASSWORD}", "{Host}", "{host} {x y}", strings.Repeat("x", maxTemplate+1)} {
		if _, err := parseTemplate(bad); err == nil {
			t.Errorf("%.40q is accepted", bad)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{host}:{port}", "user")
	f.Add("{{{user}}}", "a}b{")
	f.Fuzz(func(t *testing.T, text, user string) {
		p, err := parseTemplate(text)
		if err != nil {
			return
		}
		out := p.fill(Candidate{Host: "h", Port: 1, Name: "n"}, user)
		if len(out) > len(text)*(len(user)+8)+8 {
			t.Errorf("%d bytes out of %d", len(out), len(text))
		}
	})
}

func TestConnectionFiles(t *testing.T) {
	custom, err := parseTemplate("to={host}")
	if err != nil {
		t.Fatal(err)
	}
	tab := &table{protocols: map[string]protocol{"nx": {Protocol{Name: "nx", File: "nxs", MIME: "application/x-nx"}, custom}}}
	for protocol, want := range map[string]ConnectionFile{
		"nx":    {"d.nxs", "application/x-nx", "to=h"},
		"ssh":   {"d.uri", "text/uri-list", "ssh://anna%40x@h:9\r\n"},
		"vnc":   {"d.uri", "text/uri-list", "vnc://h:9\r\n"},
		"pcoip": {"d.uri", "text/uri-list", "pcoip://h:9/connect\r\n"},
		"ica": {"d.ica", "application/x-ica", "[WFClient]\r\nVersion=2\r\n\r\n[ApplicationServers]\r\nd=\r\n\r\n[d]\r\nAddress=h:9\r\nUsername=anna@x\r\n" +
			"TransportDriver=TCP/IP\r\nWinStationDriver=ICA 3.0\r\nInitialProgram=\r\n"},
	} {
		if got := tab.connectionFile(Candidate{Name: "d", Host: "h", Port: 9, Protocol: protocol}, "anna@x"); got != want {
			t.Errorf("%s: %q", protocol, got)
		}
	}
}

// TestRefusals: every code has a text of its own, and every error of a store a code.
func TestRefusals(t *testing.T) {
	texts := make(map[string]string)
	for _, code := range []string{
		CodeSignInFailed, CodeDirectoryUnavailable, CodeStoreUnavailable, CodeBusy, CodeStopped, CodeRejected, CodeHomeUnavailable, CodePolicy, CodeNoDesktop,
		CodeMaintenance, CodeUnreachable, CodeSessionLimit, CodeSessionExpired, CodeOfferUnknown, CodeKeyReused, CodeInternal,
	} {
		r := refusal(code, "ref")
		if r.Code != code || r.Text == "" || r.Ref != "ref" || texts[r.Text] != "" {
			t.Errorf("%+v, as %q", r, texts[r.Text])
		}
		texts[r.Text] = code
	}
	for err, code := range map[error]string{
		ErrUnavailable: CodeStoreUnavailable, ErrNoDesktop: CodeNoDesktop, ErrConflict: CodeNoDesktop, ErrMaintenance: CodeMaintenance,
		ErrSessionLimit: CodeSessionLimit, ErrKeyReused: CodeKeyReused, ErrNotFound: CodeOfferUnknown, ErrFenced: CodeInternal,
	} {
		if got := refusalCode(err); got != code {
			t.Errorf("%v is %s, want %s", err, got, code)
		}
	}
}

func TestInventorySetupValidate(t *testing.T) {
	s := Setup{
		Centers: []Center{
			{Name: "a", Kind: "csv", CSV: "name\nx\n"}, {Name: "b", Kind: "csv", CSV: "host\nx\n"}, {Name: "c", Kind: "csv", CSV: "name", URL: "https://x"},
			{Name: "d", Kind: "http", URL: "https://u:p@x"}, {Name: "e", Kind: "http", URL: "http://127.0.0.1:1", Bearer: "env:X"},
			{Name: "f", Kind: "ad", Directory: "corp", Filter: "x"}, {Name: "g", Kind: "disk"}, {Name: "g", Kind: "http"},
		},
		DesktopPools: []DesktopPool{{Name: "p", Kind: KindPooled, Backup: "none"}, {Name: "q", Kind: KindAssigned}, {Name: "r", Kind: KindPooled, Backup: "q", Desktops: []string{""}}},
		Desktops:     []Desktop{{Name: "d", Host: "h", Tags: []string{"a;b"}, OS: "x\n"}},
		Protocols:    []Protocol{{Name: "rdp", Port: 1, Template: "x", File: "x"}, {Name: "n", Port: 1, Template: "x", File: "x", MIME: "x"}},
	}
	want := "protocol[0].name protocol[1].mime center[1].csv center[2].file center[3].url center[5].directory center[5].filter center[6].kind " +
		"center[7].name center[7].url desktop_pool[0].backup desktop_pool[2].desktops[0] desktop_pool[2].backup desktop[0].os desktop[0].tags"
	if got := problems(s.Validate(nil, "uk")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var l problem.List
	(Setup{Assignments: []Assignment{{User: "a", Directory: "local", Desktop: "x"}}, Centers: s.Centers}).checkAssignments(&l, nil)
	if len(l) != 1 || !strings.Contains(l[0].Cure, "assignments import") {
		t.Errorf("%v", l)
	}
}
