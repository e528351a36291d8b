package lb

import (
	"net/netip"
	"strings"
	"testing"

	"switchpoint/internal/covers"
)

// TestForwardingFields: what the member is told of the client, for strangers and trusted proxies,
// with and without the Forwarded field.
func TestForwardingFields(t *testing.T) {
	covers.Req(t, "LB1")
	m, addr := startMirror(t, okAnswer)
	const (
		claims = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\n" +
			"Forwarded: for=1.2.3.4\r\nForwarded: for=\"[2001:db8::1]:99\";proto=https\r\nX-Real-IP: 1.2.3.4\r\n"
		own    = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: cb:81\r\n"
		ownF   = "Forwarded: for=127.0.0.1;proto=http;host=\"cb:81\"\r\n"
		kept   = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer\r\n"
		chain  = "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1\r\n"
		keptF  = "Forwarded: for=1.2.3.4\r\nForwarded: for=\"[2001:db8::1]:99\";proto=https\r\n"
		realIP = "X-Real-IP: 1.2.3.4\r\n"
	)
	for _, tt := range []struct {
		name               string
		trusted, forwarded bool
		in, want           string
	}{
		{"stranger without claims", false, false, "", own},
		{"stranger", false, false, claims, own},
		{"stranger, Forwarded", false, true, claims, own + ownF},
		{"trusted without claims", true, false, "", own},
		{"trusted without claims, Forwarded", true, true, "", own + ownF},
		{"trusted", true, false, claims, kept + keptF + realIP + chain},
		{"trusted, Forwarded", true, true, claims, kept + realIP + chain +
			"Forwarded: for=1.2.3.4, for=\"[2001:db8::1]:99\";proto=https, for=127.0.0.1;proto=http;host=\"cb:81\"\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := plainConfig([]Member{{Address: addr}})
			cfg.Listeners[0].Forwarded = tt.forwarded
			if tt.trusted {
				cfg.Listeners[0].TrustedProxies = []string{"127.0.0.0/8"}
			}
			r := start(t, cfg)
			if out := raw(t, r.addr, "GET / HTTP/1.1\r\nHost: cb:81\r\n"+tt.in+"Connection: close\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
				t.Fatalf("got %q", out)
			}
			if got, want := m.last(), "GET / HTTP/1.1\r\nHost: cb:81\r\n"+tt.want+"\r\n"; got != want {
				t.Errorf("member got\n%q, want\n%q", got, want)
			}
		})
	}
}

// TestForwardedOverIPv6: addresses with colons are quoted (RFC 7239 6).
func TestForwardedOverIPv6(t *testing.T) {
	h := head{host: []byte("[2001:db8::2]:443")}
	in := headIn{peer: netip.MustParseAddr("2001:db8::1"), secure: true}
	want := "Forwarded: for=\"[2001:db8::1]\";proto=https;host=\"[2001:db8::2]:443\"\r\n"
	if got := string(h.appendForwardedField(nil, &in)); got != want {
		t.Errorf("got %q", got)
	}
}

func TestForwardedChain(t *testing.T) {
	for in, want := range map[string]string{
		"for=192.0.2.43": "192.0.2.43",
		"For=192.0.2.43;proto=https ; by=203.0.113.43":     "192.0.2.43",
		`for="[2001:db8:cafe::17]:4711"`:                   "2001:db8:cafe::17",
		`for="[2001:db8::1]"`:                              "2001:db8::1",
		`for=192.0.2.43, for="198.51.100.17:80"`:           "192.0.2.43 198.51.100.17",
		"for=unknown, for=_hidden,for=\"_x:1\",proto=http": "- - - -",
		`host="a,b;c=d";for=192.0.2.1`:                     "192.0.2.1",
		`for="::ffff:192.0.2.1"`:                           "-",
		`for="[::ffff:192.0.2.1]"`:                         "192.0.2.1",
		`for="[192.0.2.1]"`:                                "-",
		`for="[2001:db8::1]x"`:                             "-",
		`for="192.0.2.1:99999"`:                            "-",
		"":                                                 "malformed",
		"for":                                              "malformed",
		"for=":                                             "malformed",
		"for=1.2.3.4,":                                     "malformed",
		"for=1.2.3.4;":                                     "malformed",
		"for=1.2.3.4 for=5.6.7.8":                          "malformed",
		`for="1.2.3.4`:                                     "malformed",
		`for="1.2.3\.4"`:                                   "malformed",
		"=1.2.3.4":                                         "malformed",
		"for=[2001:db8::1]":                                "malformed",
		strings.Repeat("for=1.2.3.4,", maxForwarded) + "a=b": "malformed",
	} {
		got := "malformed"
		if chain, ok := forwardedChain(nil, []byte(in)); ok {
			var words []string
			for _, a := range chain {
				if a.IsValid() {
					words = append(words, a.String())
				} else {
					words = append(words, "-")
				}
			}
			got = strings.Join(words, " ")
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzForwardedChain(f *testing.F) {
	f.Add([]byte(`for=192.0.2.43, for="[2001:db8::1]:80";proto=https;host="a"`))
	f.Add([]byte(`a="b`))
	f.Fuzz(func(t *testing.T, b []byte) {
		chain, ok := forwardedChain(nil, b)
		if len(chain) > maxForwarded || ok && len(chain) == 0 {
			t.Fatalf("%d elements, %v", len(chain), ok)
		}
		for _, a := range chain {
			if a.Is4In6() || a.Zone() != "" {
				t.Fatalf("address %v", a)
			}
		}
	})
}

// TestForwardedDecidesPersistence: the client that a trusted proxy names in either field is the
// one that is bound to a member; a stranger's word is not heard.
func TestForwardedDecidesPersistence(t *testing.T) {
	a := startBackend(t, says("a"))
	cfg := plainConfig(members(a))
	cfg.Pools[0].Persistence = DefaultPersistence
	cfg.Listeners[0].Forwarded, cfg.Listeners[0].TrustedProxies = true, []string{"127.0.0.1", "10.0.0.0/8"}
	r := start(t, cfg)
	for _, tt := range []struct{ field, want string }{
		{"Forwarded: for=192.0.2.1", "192.0.2.1"},
		{"Forwarded: for=198.51.100.7, for=192.0.2.2, for=10.1.1.1", "192.0.2.2"},
		{"Forwarded: for=unknown, for=10.1.1.2", "10.1.1.2"},
		{"Forwarded: for=192.0.2.3;", "127.0.0.1"},
		{"X-Forwarded-For: 192.0.2.4, 10.1.1.1\r\nForwarded: for=192.0.2.5", "192.0.2.4"},
	} {
		raw(t, r.addr, "GET / HTTP/1.1\r\nHost: x\r\n"+tt.field+"\r\nConnection: close\r\n\r\n")
		if e := r.Explain("front", netip.MustParseAddr(tt.want)); e.PersistedFor == 0 {
			t.Errorf("%s: %s is not bound", tt.field, tt.want)
		}
	}
	if n := bound(r); n != 5 {
		t.Errorf("%d clients are bound", n)
	}
}
