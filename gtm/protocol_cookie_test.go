package gtm

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/internal/covers"
)

// waitFor waits for a condition that another goroutine makes true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// cookied is a query with a COOKIE option.
func cookied(cookie []byte, changes ...func(*dns.Msg)) *dns.Msg {
	return question("www.c.", dns.TypeA, append([]func(*dns.Msg){with(optionCookie, cookie...)}, changes...)...)
}

var clientPart = []byte("client01")

// TestRowCookies: the answer brings a server cookie of the interoperable form, and a good one
// stays as it is; nobody is turned away for the lack of one; a malformed one is FORMERR.
func TestRowCookies(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	rows(t, nil, func(t *testing.T, c caller) {
		m := c.want("a client's first", dns.RcodeSuccess, cookied(clientPart))
		cookie := option(t, m, optionCookie)
		if len(cookie) != 24 || !bytes.Equal(cookie[:8], clientPart) || cookie[8] != 1 || len(m.Answer) != 1 {
			t.Fatalf("cookie %x", cookie)
		}
		if got := option(t, c.want("the server's", dns.RcodeSuccess, cookied(cookie)), optionCookie); !bytes.Equal(got, cookie) {
			t.Errorf("cookie %x became %x", cookie, got)
		}
		forged := append(append([]byte(nil), cookie[:23]...), cookie[23]^1)
		m = c.want("a forged one, without pressure", dns.RcodeSuccess, cookied(forged))
		if got := option(t, m, optionCookie); len(m.Answer) != 1 || len(got) != 24 || bytes.Equal(got, forged) {
			t.Errorf("forged cookie %x: %v", forged, m)
		}
		for _, n := range []int{0, 1, 7, 9, 15, 41, 100} {
			m := c.want("malformed", dns.RcodeFormatError, cookied(make([]byte, n)))
			if option(t, m, optionCookie) != nil || m.IsEdns0() == nil {
				t.Errorf("a cookie of %d octets: %v", n, m)
			}
		}
		for _, n := range []int{16, 24, 40} { // of other servers
			c.want("foreign", dns.RcodeSuccess, cookied(make([]byte, n)))
		}
		if option(t, c.ask(question("www.c.", dns.TypeA, edns(1232))), optionCookie) != nil {
			t.Error("a cookie for a client without one")
		}
	})
}

// TestRowCookieWithoutQuestion: how a client learns or confirms a cookie (RFC 7873 section 5.4).
func TestRowCookieWithoutQuestion(t *testing.T) {
	covers.Req(t, "GT8")
	rows(t, nil, func(t *testing.T, c caller) {
		noQuestion := func(q *dns.Msg) { q.Question = nil }
		m := c.want("to learn", dns.RcodeSuccess, cookied(clientPart, noQuestion))
		cookie := option(t, m, optionCookie)
		if len(cookie) != 24 || len(m.Question)+len(m.Answer)+len(m.Ns) > 0 {
			t.Fatalf("to learn: %v", m)
		}
		c.want("to confirm", dns.RcodeSuccess, cookied(cookie, noQuestion))
		cookie[20] ^= 1
		m = c.want("not ours", dns.RcodeBadCookie, cookied(cookie, noQuestion))
		if got := option(t, m, optionCookie); len(got) != 24 || bytes.Equal(got, cookie) {
			t.Errorf("not ours: %x", got)
		}
	})
}

// TestRowCookieSecrets: servers with the same secret take each other's cookies, and a new secret
// is rolled in without turning anybody away.
func TestRowCookieSecrets(t *testing.T) {
	covers.Req(t, "GT8")
	const one, two = "000102030405060708090a0b0c0d0e0f\n", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\n"
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "cookies"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := func(text string) *Table {
		t.Helper()
		write(text)
		cfg := rowConfig(t)
		cfg.CookieSecret = "file:" + filepath.Join(dir, "cookies")
		return compiled(t, cfg)
	}
	first, addr1 := startServer(t, Options{}, table(one))
	second, addr2 := startServer(t, Options{}, table(one))
	a, b := caller{t, "udp", addr1, first}, caller{t, "udp", addr2, second}
	valid := func(c caller, cookie []byte) (next []byte) {
		t.Helper()
		m := c.want("confirm", dns.RcodeSuccess, cookied(cookie, func(q *dns.Msg) { q.Question = nil }))
		return option(t, m, optionCookie)
	}
	old := option(t, a.ask(cookied(clientPart)), optionCookie)
	if got := valid(b, old); !bytes.Equal(got, old) {
		t.Errorf("the other server changed %x to %x", old, got)
	}
	// Step 1: all servers learn the new secret; step 2: they make cookies with it.
	first.SetTable(table(one + two))
	second.SetTable(table(two + one))
	renewed := valid(b, old)
	if bytes.Equal(renewed, old) {
		t.Error("a cookie of the old secret was not renewed")
	}
	valid(a, renewed)
	// Step 3: the old secret is gone.
	first.SetTable(table(two))
	valid(a, renewed)
	a.want("the old cookie", dns.RcodeBadCookie, cookied(old, func(q *dns.Msg) { q.Question = nil }))
}

// TestRowRateLimit: above the limit, half of a network's queries get silence and the others a
// short answer: TC, or BADCOOKIE for a client that knows cookies. TCP and valid cookies have no
// limit, nor have private networks by default.
func TestRowRateLimit(t *testing.T) {
	covers.Req(t, "GT8", "SE3")
	const queries = 21
	plain := question("mid.c.", dns.TypeSRV, edns(4096))
	unlimited := func(t *testing.T, c caller, q *dns.Msg) {
		t.Helper()
		k := c.dial()
		for range queries {
			k.write(pack(t, q))
			if m := unpack(t, k.read()); m.Truncated || m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
				t.Fatalf("limited: %v", m)
			}
		}
	}
	rows(t, func(cfg *Config) { cfg.RRL.Rate = 1 }, func(t *testing.T, c caller) { unlimited(t, c, plain) })

	rows(t, func(cfg *Config) { cfg.RRL.Rate, cfg.RRL.Exempt = 1, []string{"10.0.0.0/8"} }, func(t *testing.T, c caller) {
		if c.tcp() {
			unlimited(t, c, plain)
			return
		}
		c.ask(plain) // the burst of one second
		flood(t, c, plain, limitedTC)
		cookie := option(t, caller{t, "tcp", c.addr, c.server}.ask(cookied(clientPart)), optionCookie)
		unlimited(t, c, cookied(cookie))
		cookie[23] ^= 1
		for _, bad := range [][]byte{clientPart, cookie} {
			flood(t, c, cookied(bad), limitedBadCookie)
		}
		flood(t, c, question("x.", dns.TypeA), limitedTC) // REFUSED counts as well
	})
}

// flood sends queries above the limit and looks at what comes back.
func flood(t *testing.T, c caller, q *dns.Msg, way string) {
	t.Helper()
	const queries = 20
	count := func(answer string) float64 {
		return testutil.ToFloat64(c.server.metrics.limited.WithLabelValues(answer))
	}
	drops, short := count(limitedDrop), count(way)
	k, pkt := c.dial(), pack(t, q)
	for range queries {
		k.write(pkt)
	}
	passed := 0
	waitFor(t, "the limiter", func() bool { // the rate lets one pass each second
		return count(limitedDrop)-drops+count(way)-short >= queries-3
	})
	answers := int(count(way) - short)
	if answers < queries/2-3 || answers > queries/2+1 {
		t.Errorf("%d of %d queries got a short answer, want half", answers, queries)
	}
	for range answers {
		wire := k.read()
		m := unpack(t, wire)
		if len(m.Answer) > 0 {
			passed++
			continue
		}
		if len(m.Ns) > 0 || len(wire) > len(pkt)+serverCookie {
			t.Errorf("%d octets for %d: %v", len(wire), len(pkt), m)
		}
		if way == limitedTC && (!m.Truncated || m.Rcode != dns.RcodeSuccess) {
			t.Errorf("want TC: %v", m)
		}
		if way == limitedBadCookie && (m.Rcode != dns.RcodeBadCookie || len(option(t, m, optionCookie)) != 24) {
			t.Errorf("want BADCOOKIE: %v", m)
		}
	}
	if passed > 3 {
		t.Errorf("%d full answers above the limit", passed)
	}
}
