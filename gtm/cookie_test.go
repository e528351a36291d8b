package gtm

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSipHash has vectors of the reference implementation: key 00 01 ... 0f, data 00 01 ...
func TestSipHash(t *testing.T) {
	var key [16]byte
	var data [64]byte
	for i := range data {
		data[i] = byte(i)
	}
	copy(key[:], data[:])
	for n, want := range map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5, 63: 0x958a324ceb064572,
	} {
		if got := sipHash24(&key, data[:n]); got != want {
			t.Errorf("%d octets: %x, want %x", n, got, want)
		}
	}
}

// TestCookieVectors has the test vectors of RFC 9018 appendix A.
func TestCookieVectors(t *testing.T) {
	secret := func(s string) cookieSecret { return cookieSecret(unhex(t, s)) }
	first := secret("e5e973e5a6b2a43f48e7dc849e37bfcf")
	f := func(what, client, sent, want string, now uint32, state cookieState, secrets ...cookieSecret) {
		t.Helper()
		got, reply := judgeCookie(secrets, unhex(t, sent), netip.MustParseAddr(client), now)
		if got != state || hex.EncodeToString(reply[:]) != want {
			t.Errorf("%s: state %d, %x; want %d, %s", what, got, reply, state, want)
		}
	}
	f("A.1 a new cookie", "198.51.100.100", "2464c4abcf10c957",
		"2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559731985, cookieClient, first)
	f("A.2 renewed after 40 minutes", "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		"2464c4abcf10c957010000005cf7a871d4a564a1442aca77", 1559734385, cookieValid, first)
	f("A.3 reserved octets in use", "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
		"fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e", 1559734700, cookieInvalid, first)
	f("A.3, while it is young", "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
		"fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559728000, cookieValid, first)
	f("A.4 IPv6, secret rolled over", "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
		"22681ab97d52c298010000005cf7c609a6bb79d16625507a", 1559741961, cookieValid,
		secret("445536bcd2513298075a5d379663c962"), secret("dd3bdf9344b678b185a6f5cb60fca715"))
}

// TestCookieAges: valid for an hour and for the clock differences of servers, renewed in the
// second half, and all of it across the wrap of 32 bits of seconds.
func TestCookieAges(t *testing.T) {
	secrets := []cookieSecret{newCookieSecret()}
	for _, made := range []uint32{1_700_000_000, 0xffffff00, 5} {
		_, cookie := judgeCookie(secrets, make([]byte, clientCookie), testClient, made)
		for _, c := range []struct {
			age   int32
			state cookieState
			same  bool
		}{
			{0, cookieValid, true}, {1800, cookieValid, true}, {1801, cookieValid, false}, {3600, cookieValid, false},
			{3601, cookieInvalid, false}, {-300, cookieValid, false}, {-301, cookieInvalid, false},
		} {
			state, reply := judgeCookie(secrets, cookie[:], testClient, made+uint32(c.age))
			if state != c.state || (reply == cookie) != c.same {
				t.Errorf("made at %d, age %d: state %d, the same: %v; want %+v", made, c.age, state, reply == cookie, c)
			}
		}
	}
}

// TestCookieForged: no octet of a cookie, no other client and no other secret goes through.
func TestCookieForged(t *testing.T) {
	secrets := []cookieSecret{newCookieSecret()}
	_, good := judgeCookie(secrets, []byte("client01"), testClient, 1000)
	for i := range good {
		bad := good
		bad[i] ^= 1
		if state, _ := judgeCookie(secrets, bad[:], testClient, 1000); state != cookieInvalid {
			t.Errorf("octet %d changed: state %d", i, state)
		}
	}
	for _, option := range [][]byte{good[:23], append(good[:], 0)} {
		if state, _ := judgeCookie(secrets, option, testClient, 1000); state != cookieInvalid {
			t.Errorf("%d octets: state %d", len(option), state)
		}
	}
	if state, _ := judgeCookie(secrets, good[:], netip.MustParseAddr("192.0.2.2"), 1000); state != cookieInvalid {
		t.Errorf("another client: state %d", state)
	}
	if state, _ := judgeCookie([]cookieSecret{newCookieSecret()}, good[:], testClient, 1000); state != cookieInvalid {
		t.Errorf("another secret: state %d", state)
	}
	if state, _ := judgeCookie(nil, good[:], testClient, 1000); state != cookieNone {
		t.Errorf("no secrets: state %d", state)
	}
}

func TestCookieAllocatesNothing(t *testing.T) {
	secrets := []cookieSecret{newCookieSecret()}
	option := []byte("client01")
	if n := testing.AllocsPerRun(100, func() { judgeCookie(secrets, option, testClient, 1000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadSecrets(t *testing.T) {
	dir := t.TempDir()
	const one, two = "000102030405060708090a0b0c0d0e0f", "FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0"
	files := 0
	write := func(text string, mode os.FileMode) string {
		t.Helper()
		files++
		path := filepath.Join(dir, fmt.Sprint(files))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	got, err := readSecrets(write("# in use\n"+one+"\n\n  "+two+" \r\n", 0o640))
	if err != nil || len(got) != 2 || got[0][15] != 0x0f || got[1][0] != 0xff {
		t.Errorf("two secrets: %x, %v", got, err)
	}
	t.Setenv("SWITCHPOINT_TEST_COOKIES", one)
	if got, err = readSecrets("env:SWITCHPOINT_TEST_COOKIES"); err != nil || len(got) != 1 {
		t.Errorf("from the environment: %x, %v", got, err)
	}
	for _, bad := range []struct{ ref, want string }{
		{write("", 0o600), "there is no secret"},
		{"env:SWITCHPOINT_TEST_UNSET", "there is no secret"},
		{write(one+"\nshort-secret\n", 0o600), "line 2 has 12 characters"},
		{write(strings.Replace(one, "0f", "xx", 1), 0o600), "line 1 has something else"},
		{write(strings.Repeat(one+"\n", 9), 0o600), "more than 8"},
		{write(one, 0o604), "can be read by everybody"},
		{"file:" + filepath.Join(dir, "none"), "no such file"},
	} {
		_, err := readSecrets(bad.ref)
		if err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v, want %q", bad.ref, err, bad.want)
		}
		if err != nil && (strings.Contains(err.Error(), one[:8]) || strings.Contains(err.Error(), "short-secret")) {
			t.Errorf("%s: the error shows a secret: %v", bad.ref, err)
		}
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte("# x\n000102030405060708090a0b0c0d0e0f\n"))
	f.Add([]byte("\n\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseSecrets(text)
		if (err == nil) != (len(got) > 0) || len(got) > maxSecrets {
			t.Fatalf("%d secrets, %v", len(got), err)
		}
	})
}
