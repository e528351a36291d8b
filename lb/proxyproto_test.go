package lb

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// v2 is a header of version 2.
func v2(command, family byte, body string) string {
	return proxySignature + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	v2Body4 = "\xc0\x00\x02\x01\x0a\x00\x00\x01\x04\xd2\x01\xbb"
	v2Body6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x04\xd2\x01\xbb"
	v2Mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01" + "\x04\xd2\x01\xbb"
)

func TestParseProxy(t *testing.T) {
	const known4, known6 = "192.0.2.1:1234 10.0.0.1:443", "[2001:db8::1]:1234 [2001:db8::2]:443"
	long := strings.Repeat("x", 91)
	for _, tt := range []struct {
		name, in, version string
		want              string // addresses, "own", or empty for a refusal
		err               error
	}{
		{"v1", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\n", "any", known4, nil},
		{"v1 of IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n", "v1", known6, nil},
		{"v1 of mapped addresses", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 1234 443\r\n", "v1", known4, nil},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "v1", "own", nil},
		{"v1 unknown with addresses", "PROXY UNKNOWN 192.0.2.1 10.0.0.1 1234 443\r\n", "v1", "own", nil},
		{"v1, longest", "PROXY UNKNOWN " + long + "\r\n", "v1", "own", nil},
		{"v1, too long", "PROXY UNKNOWN " + long + "x\r\n", "v1", "", errProxySize},
		{"v1, bare LF", "PROXY UNKNOWN\n", "v1", "", errProxyWrong},
		{"v1, two blanks", "PROXY TCP4  192.0.2.1 10.0.0.1 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, lower case", "proxy TCP4 192.0.2.1 10.0.0.1 1234 443\r\n", "v1", "", errProxyStart},
		{"v1, other family", "PROXY UDP4 192.0.2.1 10.0.0.1 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, wrong family", "PROXY TCP4 2001:db8::1 2001:db8::2 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, families mixed", "PROXY TCP4 192.0.2.1 2001:db8::2 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::2 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, port too high", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n", "v1", "", errProxyWrong},
		{"v1, signed port", "PROXY TCP4 192.0.2.1 10.0.0.1 +1 443\r\n", "v1", "", errProxyWrong},
		{"v1, leading zero", "PROXY TCP4 192.0.2.1 10.0.0.1 01234 443\r\n", "v1", "", errProxyWrong},
		{"v1, octal", "PROXY TCP4 192.0.2.01 10.0.0.1 1234 443\r\n", "v1", "", errProxyWrong},
		{"v1, too few", "PROXY TCP4 192.0.2.1 10.0.0.1 1234\r\n", "v1", "", errProxyWrong},
		{"v1, too many", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 443 5\r\n", "v1", "", errProxyWrong},
		{"v1, nothing", "PROXY \r\n", "v1", "", errProxyWrong},
		{"v1 where v2 is wanted", "PROXY UNKNOWN\r\n", "v2", "", errProxyStart},
		{"v2", v2(0x21, 0x11, v2Body4), "any", known4, nil},
		{"v2 of IPv6", v2(0x21, 0x21, v2Body6), "v2", known6, nil},
		{"v2 of mapped addresses", v2(0x21, 0x21, v2Mapped), "v2", known4, nil},
		{"v2 with TLVs", v2(0x21, 0x11, v2Body4+"\x04\x00\x03abc\xee\x00\x00"), "v2", known4, nil},
		{"v2 with junk behind", v2(0x21, 0x11, v2Body4+"\x04"), "v2", known4, nil},
		{"v2 LOCAL", v2(0x20, 0x00, ""), "v2", "own", nil},
		{"v2 LOCAL with addresses", v2(0x20, 0x11, v2Body4), "v2", "own", nil},
		{"v2 without addresses", v2(0x21, 0x00, "\x04\x00\x00"), "v2", "own", nil},
		{"v2 of Unix sockets", v2(0x21, 0x31, strings.Repeat("\x00", 216)), "v2", "own", nil},
		{"v2 of datagrams", v2(0x21, 0x12, v2Body4), "v2", "", errProxyWrong},
		{"v2, unknown family", v2(0x21, 0x41, v2Body4), "v2", "", errProxyWrong},
		{"v2, unknown command", v2(0x22, 0x11, v2Body4), "v2", "", errProxyWrong},
		{"v3", v2(0x31, 0x11, v2Body4), "v2", "", errProxyWrong},
		{"v2, too short", v2(0x21, 0x11, v2Body4[:11]), "v2", "", errProxyWrong},
		{"v2, IPv4 for IPv6", v2(0x21, 0x21, v2Body4), "v2", "", errProxyWrong},
		{"v2, largest", v2(0x21, 0x11, v2Body4+strings.Repeat("x", maxProxyV2-proxyV2Min-12)), "v2", known4, nil},
		{"v2, too large", v2(0x21, 0x11, v2Body4+strings.Repeat("x", maxProxyV2-proxyV2Min-11)), "v2", "", errProxySize},
		{"v2 where v1 is wanted", v2(0x20, 0x00, ""), "v1", "", errProxyStart},
		{"HTTP", "GET / HTTP/1.1\r\n", "any", "", errProxyStart},
		{"TLS", "\x16\x03\x01", "any", "", errProxyStart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Whatever the pieces, the verdict is that of the whole, and comes with what follows unread.
			for size := 1; size <= len(tt.in); size += 1 + size/40 {
				_, n, err := parseProxy([]byte(tt.in[:size]), tt.version)
				if tt.err == nil && size < len(tt.in) && (n != 0 || err != nil) || err != nil && !errors.Is(err, tt.err) {
					t.Fatalf("after %d bytes: %d %v", size, n, err)
				}
			}
			h, n, err := parseProxy([]byte(tt.in+"GET / HTTP/1.1\r\n"), tt.version)
			got := "own"
			switch {
			case err != nil:
				got = ""
			case h.known:
				got = h.from.String() + " " + h.to.String()
			}
			if got != tt.want || !errors.Is(err, tt.err) || err == nil && n != len(tt.in) {
				t.Errorf("got %q, %d of %d, %v", got, n, len(tt.in), err)
			}
		})
	}
}

// TestAppendProxy: what is written is what is read.
func TestAppendProxy(t *testing.T) {
	for _, tt := range []struct{ from, to, v1 string }{
		{"192.0.2.1:1234", "10.0.0.1:443", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\n"},
		{"[2001:db8::1]:1", "[2001:db8::2]:65535", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"},
		{"192.0.2.1:1234", "[2001:db8::2]:443", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1234 443\r\n"},
	} {
		from, to := netip.MustParseAddrPort(tt.from), netip.MustParseAddrPort(tt.to)
		if got := string(appendProxy(nil, "v1", from, to)); got != tt.v1 {
			t.Errorf("got %q, want %q", got, tt.v1)
		}
		for _, version := range []string{"v1", "v2"} {
			b := appendProxy(nil, version, from, to)
			if h, n, err := parseProxy(b, version); err != nil || n != len(b) || !h.known || h.from != from || h.to != to {
				t.Errorf("%s: %q is read as %+v, %d, %v", version, b, h, n, err)
			}
		}
	}
	for _, version := range []string{"v1", "v2"} {
		b := appendProxy(nil, version, netip.AddrPort{}, netip.AddrPort{})
		if h, n, err := parseProxy(b, version); err != nil || n != len(b) || h.known {
			t.Errorf("%s: %q is read as %+v, %d, %v", version, b, h, n, err)
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 10.0.0.1 1234 443\r\n", "PROXY UNKNOWN\r\nGET", "PROXY", v2(0x21, 0x11, v2Body4+"\x04\x00\x00"),
		v2(0x20, 0, ""), v2(0x21, 0x21, v2Body6), proxySignature, "GET / HTTP/1.1\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxy(b, proxyAny)
		if n > len(b) || n > maxProxyV2 || err != nil && n != 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		if again, m, err := parseProxy(b[:n], proxyAny); again != h || m != n || err != nil {
			t.Fatalf("read again: %+v %d %v, before %+v", again, m, err, h)
		}
		if h.known {
			version := proxyV1
			if b[0] == '\r' {
				version = proxyV2
			}
			if again, _, err := parseProxy(appendProxy(nil, version, h.from, h.to), version); err != nil || again != h {
				t.Fatalf("written and read: %+v %v, was %+v", again, err, h)
			}
		}
	})
}
