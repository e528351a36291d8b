package broker

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchpoint/internal/covers"
)

func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, 31), b))
}

func testTicket(at time.Time) Ticket {
	return Ticket{
		Issuer: "uk", Audience: "us", Directory: "corp", Entry: "0b1c6e4e-5d1a-103e-9b0e-6f1b1a0f0001", User: "alice", ID: newTicketID(),
		Issued: at.UnixMilli(), Expires: at.Add(ticketLife).UnixMilli(), Visited: []string{"uk"},
	}
}

// TestTicketRefusals: a ticket is good for one cluster, for a minute by its issuer's clock, on no way
// back, and only as it was signed. Each refusal says which of these it is.
func TestTicketRefusals(t *testing.T) {
	covers.Req(t, "RD8")
	key, now := testKey(1), time.UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct {
		change func(*Ticket)
		later  time.Duration
		key    ed25519.PrivateKey
		own    string
		want   string
	}{
		"good":            {want: ""},
		"in its last ms":  {later: ticketLife - time.Millisecond, want: ""},
		"a clock behind":  {later: -ticketSkew, want: ""},
		"expired":         {later: ticketLife, want: "expired"},
		"in the future":   {later: -ticketSkew - time.Millisecond, want: "in the future"},
		"another key":     {key: testKey(2), want: "not the issuer's"},
		"another cluster": {own: "de", want: "is for cluster us, not for de"},
		"a loop":          {change: func(k *Ticket) { k.Visited = []string{"us", "uk"} }, want: "a loop: the login has already been to cluster us"},
	} {
		k := testTicket(now)
		if c.change != nil {
			c.change(&k)
		}
		signer, own := key, "us"
		if c.key != nil {
			signer = c.key
		}
		if c.own != "" {
			own = c.own
		}
		text, err := k.sign(signer)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		u, err := parseTicket(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := u.verify(own, key.Public().(ed25519.PublicKey), now.Add(c.later))
		switch {
		case c.want == "" && (err != nil || got.ID != k.ID || got.User != "alice"):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || got.Issuer != ""):
			t.Errorf("%s: %+v, %v, want %q", name, got, err, c.want)
		}
	}
}

// TestTicketForm: what is not written as a cluster writes it is refused before anything else is looked at.
func TestTicketForm(t *testing.T) {
	key, now := testKey(1), time.UnixMilli(1_700_000_000_000)
	good, err := testTicket(now).sign(key)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(payload string) string {
		signed := ticketPrefix + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if seal(string(payload)) != good {
		t.Fatal("the test does not write tickets as the code does")
	}
	for name, text := range map[string]string{
		"empty": "", "no points": "st1", "another version": "st2" + good[3:], "four parts": good + ".x", "padded": good + "=",
		"a short signature": good[:len(good)-8], "too long": good + strings.Repeat("A", maxTicket),
		"no JSON": seal("x"), "two values": seal(string(payload) + "{}"), "a blank after it": seal(string(payload) + " "),
		"an unknown field": seal(strings.Replace(string(payload), `"iss"`, `"admin":true,"iss"`, 1)),
		"no issuer":        seal(strings.Replace(string(payload), `"iss":"uk"`, `"iss":""`, 1)),
		"a control sign":   seal(strings.Replace(string(payload), `"usr":"alice"`, `"usr":"al\nice"`, 1)),
		"no visits":        seal(strings.Replace(string(payload), `"vis":["uk"]`, `"vis":[]`, 1)),
		"another visit":    seal(strings.Replace(string(payload), `"vis":["uk"]`, `"vis":["de"]`, 1)),
		"a long life":      seal(strings.Replace(string(payload), `"iat":17`, `"iat":16`, 1)),
		"a short id":       seal(strings.Replace(string(payload), `"jti":"`, `"jti":"x`, 1)),
	} {
		if u, err := parseTicket(text); err == nil {
			t.Errorf("%s was read: %+v", name, u.claims)
		}
	}
	u, err := parseTicket(good)
	if err != nil {
		t.Fatal(err)
	}
	u.claims.User = "bob" // what is signed is the text
	if _, err := u.verify("us", testKey(1).Public().(ed25519.PublicKey), now); err != nil {
		t.Error(err)
	}
}

// TestTicketEveryByteCounts: no byte of a ticket can be another one.
func TestTicketEveryByteCounts(t *testing.T) {
	key, now := testKey(1), time.UnixMilli(1_700_000_000_000)
	good, err := testTicket(now).sign(key)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(good)-1).Draw(t, "place")
		c := rapid.Byte().Draw(t, "byte")
		bad := good[:i] + string([]byte{c}) + good[i+1:]
		u, err := parseTicket(bad)
		if err == nil {
			_, err = u.verify("us", key.Public().(ed25519.PublicKey), now)
		}
		if (bad == good) != (err == nil) {
			t.Fatalf("%q: %v", bad, err)
		}
	})
}

// TestTicketBounds: what would be refused is not issued.
func TestTicketBounds(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	wide := testTicket(now)
	wide.Visited = nil
	for range maxVisited - 1 {
		wide.Visited = append(wide.Visited, strings.Repeat("x", 250))
	}
	wide.Visited = append(wide.Visited, "uk")
	if _, err := wide.sign(testKey(1)); !errors.Is(err, errTicketSize) {
		t.Errorf("a ticket of more than 2 KB: %v", err)
	}
	far := testTicket(now)
	far.Visited = []string{"1", "2", "3", "4", "5", "6", "7", "8", "uk"}
	if _, err := far.sign(testKey(1)); err == nil {
		t.Error("a ticket over 9 clusters was signed")
	}
	if a, b := newTicketID(), newTicketID(); a == b {
		t.Error("two tickets have one id")
	}
}

func FuzzParseTicket(f *testing.F) {
	key, now := testKey(1), time.UnixMilli(1_700_000_000_000)
	good, err := testTicket(now).sign(key)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "st1..", "st1.e30.AAAA", good[:len(good)-1], good + "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseTicket(text)
		if err != nil {
			return
		}
		if len(text) > maxTicket {
			t.Errorf("a ticket of %d bytes was read", len(text))
		}
		if got, err := u.verify("us", key.Public().(ed25519.PublicKey), now); err == nil && text != good {
			t.Errorf("nobody has signed %q: %+v", text, got)
		}
		if _, err := u.claims.sign(key); err != nil && !errors.Is(err, errTicketSize) {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
