package lb

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

var setCookieLine = regexp.MustCompile(`(?m)^Set-Cookie: (SPLB=[A-Za-z0-9_-]{38}); Path=/; Max-Age=330; HttpOnly; SameSite=Lax(; Secure)?\r$`)

// cookieIn gives the cookie that an answer sets, as the client sends it back.
func cookieIn(t *testing.T, head string) string {
	t.Helper()
	m := setCookieLine.FindAllStringSubmatch(head+"\r\n", -1)
	if len(m) != 1 {
		t.Fatalf("not one cookie in %q", head)
	}
	return m[0][1]
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// TestCookiePersistence: the client carries who its member is, and nobody can make that up.
func TestCookiePersistence(t *testing.T) {
	covers.Req(t, "LB3")
	r := persistent(t, PersistCookie, nil)
	head, first := r.ask("192.0.2.1")
	cookie := cookieIn(t, head)
	if !strings.Contains(head, "\r\nCache-Control: no-cache=\"Set-Cookie\"\r\n") || strings.Contains(head, "Secure") {
		t.Errorf("%q", head)
	}
	for n := range 6 {
		again, m := r.ask(fmt.Sprintf("198.51.100.%d", n), "Cookie: x=1; "+cookie+"; y=2")
		if m != first || strings.Contains(again, "Set-Cookie") {
			t.Errorf("bound to %s and got %s: %q", first, m, again)
		}
	}
	members := map[string]string{}
	for range 6 {
		head, m := r.ask("192.0.2.1") // without one a client is new
		members[m] = cookieIn(t, head)
	}
	if len(members) != 3 || bound(r) != 0 {
		t.Errorf("members %v, %d entries", members, bound(r))
	}
	for m, c := range members {
		if strings.Contains(c, m+"=") || strings.Contains(c, "127") {
			t.Errorf("%s: %s", m, c)
		}
		for other, o := range members {
			if (m == other) != (c[5:13] == o[5:13]) {
				t.Errorf("cookies of %s and %s: %s, %s", m, other, c, o)
			}
		}
	}
	flipped := []byte(cookie)
	flipped[20] ^= 1
	for what, c := range map[string]string{"forged": string(flipped), "short": cookie[:20], "long": cookie + "A", "none": "SPLB=", "of another": "XSPLB=" + cookie[5:]} {
		used := map[string]bool{}
		for range 6 {
			head, m := r.ask("192.0.2.1", "Cookie: "+c)
			used[m] = true
			cookieIn(t, head) // it gets a good one
		}
		if len(used) != 3 {
			t.Errorf("a cookie that is %s binds to %v", what, used)
		}
	}
}

// TestCookieKeys: cookies are good on every node with the same secret, and after a restart; not
// with another secret or in another pool.
func TestCookieKeys(t *testing.T) {
	covers.Req(t, "LB3")
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	with := func(edit func(*Config, *Options)) *running {
		cfg := persistentConfig(PersistCookie, members(a, b))
		o := Options{StateDir: t.TempDir()}
		edit(&cfg, &o)
		o.Listeners = cfg.Listeners
		return startWith(t, cfg, o, noRef)
	}
	secret, dir := secretFile(t, strings.Repeat("s", 32)), t.TempDir()
	shared := func(c *Config, _ *Options) { c.Pools[0].PersistenceSecret = secret }
	kept := func(_ *Config, o *Options) { o.StateDir = dir }
	for name, tc := range map[string]struct {
		one, two func(*Config, *Options)
		good     bool
	}{
		"the same secret":         {shared, shared, true},
		"the same state":          {kept, kept, true},
		"another state":           {kept, func(*Config, *Options) {}, false},
		"another secret":          {shared, func(c *Config, _ *Options) { c.Pools[0].PersistenceSecret = secretFile(t, strings.Repeat("t", 32)) }, false},
		"another pool":            {shared, func(c *Config, o *Options) { shared(c, o); c.Pools[0].Name, c.Listeners[0].Pool = "x", "x" }, false},
		"a member that has left":  {shared, func(c *Config, o *Options) { shared(c, o); c.Pools[0].Members = c.Pools[0].Members[1:] }, false},
		"members in other places": {shared, func(c *Config, o *Options) { shared(c, o); m := c.Pools[0].Members; m[0], m[1] = m[1], m[0] }, true},
	} {
		t.Run(name, func(t *testing.T) {
			one := with(tc.one)
			head, first := one.ask("192.0.2.1")
			cookie := cookieIn(t, head)
			if first != "a" {
				head, first = one.ask("192.0.2.1")
				cookie = cookieIn(t, head)
			}
			two := with(tc.two)
			for range 4 {
				head, m := two.ask("192.0.2.1", "Cookie: "+cookie)
				if good := m == first && !strings.Contains(head, "Set-Cookie"); good != tc.good && (tc.good || strings.Count(head, "Set-Cookie") != 1) {
					t.Errorf("bound to %s and got %s: %q", first, m, head)
				}
			}
		})
	}
	info, err := os.Stat(filepath.Join(dir, cookieFile))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestCookieOfOtherNames: what reaches the member has all cookies but the balancer's own, which has
// the configured name. On TLS listeners it is for TLS only.
func TestCookieOfOtherNames(t *testing.T) {
	covers.Req(t, "LB3")
	got := make(chan []string, 1)
	a := startBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header["Cookie"]
		w.Header().Add("Set-Cookie", "x=1")
	}))
	ca := newAuthority(t)
	cfg := persistentConfig(PersistCookie, members(a))
	cfg.Pools[0].Cookie = "LB"
	cfg.Listeners[0].Cert, cfg.Listeners[0].Key = ca.issue(t, "lb", 2, "127.0.0.1")
	r := start(t, cfg)
	cl := client(t, &tls.Config{RootCAs: ca.pool()})
	for _, tt := range []struct {
		send []string
		want string
	}{
		{[]string{"a=b"}, "a=b"},
		{[]string{"LB=1"}, ""},
		{[]string{"a=b; LB=forged; c=d;e=f"}, "a=b; c=d; e=f"},
		{[]string{"LB=1; a=b"}, "a=b"},
		{[]string{"a=b;LB=1;LB=2 "}, "a=b"},
		{[]string{"a=LB=1; LBx=1; xLB=2; lb=3"}, "a=LB=1; LBx=1; xLB=2; lb=3"},
		{[]string{" LB =1; a=b"}, "a=b"},
		{[]string{"a=b; LB=1", "LB=2; c=d"}, "a=b|c=d"},
	} {
		req, err := http.NewRequest(http.MethodGet, "https://"+r.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Cookie"] = tt.send
		resp, err := cl.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if have := strings.Join(<-got, "|"); have != tt.want {
			t.Errorf("of %q the member got %q, want %q", tt.send, have, tt.want)
		}
		if set := resp.Header["Set-Cookie"]; len(set) != 2 || set[0] != "x=1" || !strings.HasPrefix(set[1], "LB=") || !strings.HasSuffix(set[1], "; HttpOnly; SameSite=Lax; Secure") {
			t.Errorf("%q", set)
		}
	}
}

// TestCookieTime: a cookie is good for as long as it is used, plus persistence_timeout.
func TestCookieTime(t *testing.T) {
	const now, keep = 1_800_000_000, 300 * time.Second
	w := newCookieWriter([]byte("secret"), "brokers", []memberTable{{address: "10.0.0.1:1"}, {address: "10.0.0.2:1"}})
	fields := append(w.append([]byte("Cookie: SPLB="), 1, now), "\r\n\r\n"...)
	for _, tt := range []struct {
		age    int64
		member int
		stale  bool
	}{{0, 1, false}, {29, 1, false}, {30, 1, true}, {329, 1, true}, {331, -1, false}, {-5, 1, true}, {-400, -1, false}} {
		if m, stale := w.read(fields, "SPLB", now+tt.age, keep); m != tt.member || stale != tt.stale {
			t.Errorf("after %d s: member %d, stale %v", tt.age, m, stale)
		}
	}
}

// TestCookieMAC: the code without allocation is HMAC-SHA256 as others know it.
func TestCookieMAC(t *testing.T) {
	w := newCookieWriter([]byte("secret"), "brokers", nil)
	key := macOf([]byte("secret"), "switchpoint lb cookie brokers")
	named := [cookieTag + cookieTime]byte([]byte("hello, world"))
	h := hmac.New(sha256.New, key)
	h.Write(named[:])
	if mac := w.mac(&named); !bytes.Equal(mac[:], h.Sum(nil)[:cookieMAC]) {
		t.Errorf("%x", mac)
	}
}

// FuzzCookies: whatever a client sends, the member gets all of it but our cookie, and only our own
// writing names a member.
func FuzzCookies(f *testing.F) {
	const now = 1_800_000_000
	w := newCookieWriter([]byte("secret"), "brokers", []memberTable{{address: "10.0.0.1:1"}})
	good := string(w.append(nil, 0, now))
	for _, s := range []string{"a=b; SPLB=" + good + "; c=d", "SPLB=" + good, "SPLB", "=;=;;", " SPLB = x ;y", "__Host-session=sp1.1.x; SPLB==", good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		line := []byte("Cookie: " + value + "\r\n")
		name, text, bad := checkField(line[:len(line)-2])
		if bad != nil {
			return
		}
		one := field{name, text, line}
		out := string(appendCookies(nil, one, []string{"SPLB"}))
		if out != "" {
			if !strings.HasSuffix(out, "\r\n") || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "Cookie: ") {
				t.Fatalf("%q became %q", line, out)
			}
			if cookieOf([]byte(strings.TrimSuffix(out, "\r\n")[len("Cookie: "):]), "SPLB") != nil {
				t.Fatalf("%q became %q", line, out)
			}
		}
		var want []string
		ours := false
		for pair := range strings.SplitSeq(string(text), ";") {
			pair = strings.Trim(pair, " \t")
			n, _, is := strings.Cut(pair, "=")
			switch {
			case is && strings.Trim(n, " \t") == "SPLB":
				ours = true
			case pair != "":
				want = append(want, pair)
			}
		}
		if ours {
			joined := ""
			if len(want) > 0 {
				joined = "Cookie: " + strings.Join(want, "; ") + "\r\n"
			}
			if out != joined {
				t.Fatalf("%q became %q, want %q", line, out, joined)
			}
		} else if out != string(line) && cookieOf(text, "SPLB") == nil && strings.TrimSpace(out) != strings.TrimSpace("Cookie: "+string(text)) {
			t.Fatalf("%q became %q", line, out)
		}
		if m, _ := w.read(append(line, "\r\n"...), "SPLB", now, time.Minute); m >= 0 && !strings.Contains(value, good) {
			t.Fatalf("%q names a member", value)
		}
		v := visitor{fields: append(line, "\r\n"...)}
		if v.findToken([16]byte{}) && !strings.Contains(value, sessionCookie) {
			t.Fatalf("%q has a token", value)
		}
	})
}
