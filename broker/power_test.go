package broker

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

// startTable has a pool with a power action, and one without.
func startTable() *table {
	s := Setup{
		Powers:       []Power{{Name: "hook", Kind: PowerHTTP, URL: "https://hv/{id}"}, {Name: "wake", Kind: PowerWOL}},
		DesktopPools: []DesktopPool{{Name: "floor", Kind: KindPooled, Power: "hook"}, {Name: "plain", Kind: KindPooled}},
		Centers:      []Center{{Name: "racks", Kind: CenterCSV, Power: "wake"}},
	}.WithDefaults()
	return &table{setup: s}
}

func TestPowerOf(t *testing.T) {
	for _, c := range []struct{ pool, center, want string }{
		{"floor", "", "hook"}, {"floor", "racks", "hook"}, {"plain", "racks", "wake"}, {"", "racks", "wake"}, {"plain", "", ""}, {"", "", ""},
	} {
		p, ok := startTable().powerOf(StartTarget{Pool: c.pool, Center: c.center})
		if p.Name != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %q, %v", c, p.Name, ok)
		}
	}
}

func TestPlanStart(t *testing.T) {
	state := func(asked, called, failed time.Duration) *StartState {
		return &StartState{asked, called, failed, "no power"}
	}
	target := func(name, pool string, s *StartState) StartTarget {
		return StartTarget{ID: name, Name: name, Pool: pool, Start: s}
	}
	for name, c := range map[string]struct {
		targets []StartTarget
		own     bool
		target  string
		err     error
		fresh   bool
	}{
		"no action":                        {[]StartTarget{target("a", "plain", nil)}, true, "", errUnreachable, false},
		"off":                              {[]StartTarget{target("a", "floor", nil)}, true, "a", errStarting, true},
		"the first that can be started":    {[]StartTarget{target("a", "plain", nil), target("b", "floor", nil), target("c", "floor", nil)}, false, "b", errStarting, true},
		"under way":                        {[]StartTarget{target("a", "floor", state(time.Minute, -1, -1))}, true, "a", errStarting, false},
		"under way for too long":           {[]StartTarget{target("a", "floor", state(time.Hour, -1, -1))}, true, "a", errStarting, true},
		"under way, and nobody's":          {[]StartTarget{target("a", "floor", state(time.Minute, -1, -1))}, false, "a", errStarting, true},
		"has just failed":                  {[]StartTarget{target("a", "floor", state(time.Minute, 1, time.Second))}, true, "a", errStartFailed, false},
		"has failed long ago":              {[]StartTarget{target("a", "floor", state(time.Hour, 1, time.Hour))}, true, "a", errStarting, true},
		"one has failed, another is there": {[]StartTarget{target("a", "floor", state(time.Minute, 1, time.Second)), target("b", "floor", nil)}, false, "b", errStarting, true},
		"all have failed":                  {[]StartTarget{target("a", "floor", state(time.Minute, 1, time.Second))}, false, "", errStartFailed, false},
	} {
		p := planStart(startTable(), c.targets, c.own)
		if p.target.Name != c.target || p.err != c.err || p.fresh != c.fresh || p.err != errUnreachable && p.reason == "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestPowerTarget(t *testing.T) {
	p := Power{Name: "hook", URL: "https://hv.company.com/vm/{id}/start?name={desktop}&at={host}"}
	got, err := p.target(StartTarget{Name: "desk 1/?#", Host: "10.0.0.1", Key: "../{host}"})
	if want := "https://hv.company.com/vm/..%2F%7Bhost%7D/start?name=desk%201%2F%3F%23&at=10.0.0.1"; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	if got, _ := p.target(StartTarget{Name: "d"}); !strings.Contains(got, "/vm/d/start") {
		t.Errorf("without a key of a center: %s", got)
	}
	if _, err := (Power{URL: "https://hv/{vm}"}).target(StartTarget{}); err == nil {
		t.Error("an unknown placeholder was accepted")
	}
}

func TestPowerSetup(t *testing.T) {
	covers.Req(t, "BR6")
	good := Power{Name: "hook", Kind: PowerHTTP, URL: "https://hv/{id}"}
	for fault, p := range map[string]Power{
		"power[0].kind":          {Name: "x", Kind: "magic"},
		"power[0].url":           {Name: "x", Kind: PowerHTTP, URL: "ftp://hv/{id}"},
		"power[0].method":        {Name: "x", Kind: PowerHTTP, URL: "https://hv", Method: "DELETE"},
		"power[0].expect[0]":     {Name: "x", Kind: PowerHTTP, URL: "https://hv", Expect: []int{500}},
		"power[0].bearer":        {Name: "x", Kind: PowerHTTP, URL: "https://hv", Bearer: "secret-word"},
		"power[0].broadcast":     {Name: "x", Kind: PowerWOL, Broadcast: "192.0.2.255"},
		"power[0].start_timeout": {Name: "x", Kind: PowerWOL, StartTimeout: time.Second},
		"power[0].timeout":       {Name: "x", Kind: PowerHTTP, URL: "https://hv", Timeout: time.Hour},
	} {
		err := Setup{Powers: []Power{p}}.Validate(nil, "uk")
		if err == nil || !strings.Contains(err.Error(), fault+": ") || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%s: %v", fault, err)
		}
	}
	for _, bad := range []string{"https://{host}/start", "https://bob:pw@hv/", "http://hv/{id}", "https://hv/{vm}"} {
		p := Power{Name: "x", Kind: PowerHTTP, URL: bad, Bearer: "env:X"}
		if err := (Setup{Powers: []Power{p}}).Validate(nil, "uk"); err == nil || !strings.Contains(err.Error(), "power[0].url: ") || strings.Contains(err.Error(), "pw@") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	wol := Power{Name: "wake", Kind: PowerWOL, URL: "https://hv", Method: "POST"}
	if err := (Setup{Powers: []Power{wol}}).Validate(nil, "uk"); err == nil || !strings.Contains(err.Error(), "power[0].url") || !strings.Contains(err.Error(), "power[0].method") {
		t.Error(err)
	}
	s := Setup{Powers: []Power{good, good}, DesktopPools: []DesktopPool{{Name: "p", Kind: KindPooled, Power: "nobody"}},
		Desktops: []Desktop{{Name: "d", Host: "h", MAC: "52:54"}}}
	err := s.Validate(nil, "uk")
	for _, fault := range []string{"power[1].name", "desktop_pool[0].power", "desktop[0].mac"} {
		if err == nil || !strings.Contains(err.Error(), fault+": ") {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

// TestPowerHook: method, secret, escaped target and the statuses that count; no redirect is followed.
func TestPowerHook(t *testing.T) {
	covers.Req(t, "BR6")
	t.Setenv("POWER_SECRET", "open-sesame")
	status := 204
	var asked []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer hook.Close()
	p := Power{Name: "hook", Kind: PowerHTTP, URL: hook.URL + "/vm/{id}", Method: "PUT", Bearer: "env:POWER_SECRET"}.withDefaults()
	if said, err := p.call(t.Context(), StartTarget{Name: "d1", Key: "vm/7"}); err != nil || !strings.Contains(said, "204") {
		t.Error(said, err)
	}
	if len(asked) != 1 || asked[0] != "PUT /vm/vm%2F7 Bearer open-sesame" {
		t.Errorf("%q", asked)
	}
	for _, status = range []int{302, 404, 500} {
		if _, err := p.call(t.Context(), StartTarget{Name: "d1"}); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if len(asked) != 4 {
		t.Errorf("%q", asked)
	}
	hook.Close()
	if _, err := p.call(t.Context(), StartTarget{Name: "d1"}); err == nil || strings.Contains(err.Error(), hook.URL+"/vm") {
		t.Errorf("%v", err)
	}
}

// TestWakeOnLAN reads the magic packet off the wire.
func TestWakeOnLAN(t *testing.T) {
	covers.Req(t, "BR6")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := Power{Name: "wake", Kind: PowerWOL, Broadcast: conn.LocalAddr().String()}.withDefaults()
	said, err := p.call(context.Background(), StartTarget{Name: "d1", MAC: "52:54:00:12:34:56"})
	if err != nil || !strings.Contains(said, "52:54:00:12:34:56") {
		t.Fatal(said, err)
	}
	for range wakePackets {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 256)
		n, _, err := conn.ReadFrom(b)
		if err != nil || n != 102 || string(b[:6]) != "\xff\xff\xff\xff\xff\xff" || string(b[6:n]) != strings.Repeat("\x52\x54\x00\x12\x34\x56", 16) {
			t.Fatalf("% x, %v", b[:n], err)
		}
	}
	if _, err := p.call(t.Context(), StartTarget{Name: "d1"}); err == nil || !strings.Contains(err.Error(), "no MAC") {
		t.Error(err)
	}
}

func FuzzPowerTarget(f *testing.F) {
	f.Add("desk-1", "10.0.0.1", "vm-7")
	f.Add("../..", "a?b#c", "{id}")
	f.Add("\r\nX: y", "%2F", "\x00")
	f.Fuzz(func(t *testing.T, name, host, key string) {
		p := Power{URL: "https://hv.company.com/{desktop}/{host}/{id}"}
		got, err := p.target(StartTarget{Name: name, Host: host, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(got, "/") != 5 || strings.ContainsAny(got, "?#\r\n \x00") {
			t.Errorf("%q, %q and %q make %q", name, host, key, got)
		}
	})
}

func FuzzParseAgentKey(f *testing.F) {
	f.Add(AgentKey{Desktop: "0190a5b0-0000-7000-8000-000000000000", Secret: [32]byte{1}}.String())
	f.Add("spa1.0190A5B0-0000-7000-8000-000000000000." + strings.Repeat("A", 43))
	f.Add("spa1..")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseAgentKey(s); err == nil && k.String() != s {
			t.Errorf("%q was read as %q", s, k)
		}
	})
}
