package logins

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func newReader(text string) *reader {
	return &reader{r: bufio.NewReaderSize(strings.NewReader(text), 256)}
}

func TestReadAnswers(t *testing.T) {
	r := newReader("HTTP/1.1 100 Continue\r\n\r\n" +
		"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhello" +
		"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n" +
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	for _, want := range []answer{{status: 200, body: []byte("hello")}, {status: 202, retryAfter: 7, body: []byte("abcde")}, {status: 204, closing: true}} {
		got, err := r.next()
		if err != nil || got.status != want.status || got.retryAfter != want.retryAfter || got.closing != want.closing || !bytes.Equal(got.body, want.body) {
			t.Errorf("%+v %q, %v, want %+v", got, got.body, err, want)
		}
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

func TestReadAnswersThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"no HTTP":            "SSH-2.0-x\r\n\r\n",
		"no status":          "HTTP/1.1 2x0 OK\r\n\r\n",
		"no length":          "HTTP/1.1 200 OK\r\n\r\nhello",
		"a length below 0":   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a length beyond":    "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
		"a body cut off":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
		"a head cut off":     "HTTP/1.1 200 OK\r\nContent-",
		"a chunk cut off":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"a chunk of no size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"a chunk too long":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
		"a line too long":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 400) + "\r\n\r\n",
	} {
		if a, err := newReader(text).next(); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := newReader(string(text)).next()
		if err == nil && (a.status < 200 || len(a.body) > len(text)) {
			t.Errorf("%+v of %q", a, text)
		}
	})
}

// dnsAnswer packs what a server would say to the question.
func dnsAnswer(t testing.TB, question []byte, rcode int, records ...string) []byte {
	t.Helper()
	q, m := new(dns.Msg), new(dns.Msg)
	if err := q.Unpack(question); err != nil {
		t.Fatal(err)
	}
	m.SetRcode(q, rcode)
	m.Compress = true
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	out, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDNS(t *testing.T) {
	question := appendQuestion(nil, 4711, "cb.bench.test")
	var q dns.Msg
	if err := q.Unpack(question); err != nil || q.Id != 4711 || q.Question[0].Name != "cb.bench.test." || q.Question[0].Qtype != dns.TypeA || q.IsEdns0().UDPSize() != udpCapacity {
		t.Fatalf("%v, %v", &q, err)
	}
	got, err := readAnswer(dnsAnswer(t, question, 0, "cb.bench.test. 30 IN CNAME x.bench.test.", "x.bench.test. 30 IN A 192.0.2.7"), question)
	if err != nil || got != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("%v, %v", got, err)
	}
	for name, b := range map[string][]byte{
		"SERVFAIL": dnsAnswer(t, question, dns.RcodeServerFailure), "nothing": dnsAnswer(t, question, 0),
		"the question": question, "a record cut off": dnsAnswer(t, question, 0, "cb.bench.test. 30 IN A 192.0.2.7")[:40],
	} {
		if got, err := readAnswer(b, question); err == nil || errors.Is(err, errOtherAnswer) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, b := range map[string][]byte{"short": question[:20], "another name": dnsAnswer(t, appendQuestion(nil, 4711, "ab.bench.test"), 0), "another number": dnsAnswer(t, appendQuestion(nil, 1, "cb.bench.test"), 0)} {
		if _, err := readAnswer(b, question); !errors.Is(err, errOtherAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDNSAnswer(f *testing.F) {
	question := appendQuestion(nil, 4711, "cb.bench.test")
	f.Add(dnsAnswer(f, question, 0, "cb.bench.test. 30 IN A 192.0.2.7"))
	f.Add(append(question[:dnsHeader:dnsHeader], 0xc0, 0x0c))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := readAnswer(b, question); err == nil && !got.Is4() {
			t.Errorf("%v", got)
		}
	})
}

func TestSources(t *testing.T) {
	clients := netip.MustParsePrefix("127.64.0.0/10")
	for _, i := range []int{0, 1, 255, 256, 9999, 1<<22 - 3, 1 << 22, 1 << 30} {
		if a := sourceOf(i); !clients.Contains(a) {
			t.Errorf("client %d has %s", i, a)
		}
	}
	if sourceOf(0).String() != "127.64.0.1" || sourceOf(0) == sourceOf(1) {
		t.Error(sourceOf(0), sourceOf(1))
	}
}
