package healthcheck

import (
	"net"
	"strings"
	"testing"
	"time"
)

// answers is an HTTP answer with a body and its length.
func answers(body string) func(net.Conn) {
	return says("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nX-Broker-Mode: normal\r\n\r\n" + body)
}

const (
	aliveXML = `<?xml version="1.0"?><methodResponse><params><param><value><string>CB_IS_OKAY</string></value></param></params></methodResponse>`
	faultXML = `<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member>` +
		`<member><name>faultString</name><value>Too many parameters.</value></member></struct></value></fault></methodResponse>`
)

func TestXMLRPC(t *testing.T) {
	f := func(change func(*Monitor), talk func(net.Conn), state State, reason string) Result {
		t.Helper()
		m := quick("xmlrpc")
		if change != nil {
			change(&m)
		}
		if strings.Contains(reason, "timed out") {
			m.Timeout = 150 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || r.Reason != reason || r.TimedOut != (m.Timeout < time.Second) || len(r.FirstBytes) > firstBytes {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
		return r
	}
	okay := func(m *Monitor) { m.Receive = "CB_IS_OKAY" }
	r := f(nil, answers(aliveXML), Up, `the method answered "CB_IS_OKAY"`)
	if r.Status != 200 || r.TTFB <= 0 || r.Load.Mode != "normal" || !strings.HasPrefix(string(r.FirstBytes), "<?xml") {
		t.Errorf("facts: %+v", r)
	}
	f(okay, answers(aliveXML), Up, `the method answered "CB_IS_OKAY"`)
	f(okay, answers(strings.ReplaceAll(aliveXML, "OKAY", "LOST")), Down, `the method answered "CB_IS_LOST", wanted "CB_IS_OKAY"`)
	f(nil, answers(faultXML), Down, `200 but the method failed: "faultCode 4 faultString Too many parameters."`)
	f(nil, answers("CB_IS_OKAY"), Down, `200 but the body is no methodResponse: "CB_IS_OKAY"`)
	f(nil, answers("<html><body>CB_IS_OKAY</body></html>"), Down, `200 but the body is no methodResponse: "<html><body>CB_IS_OKAY</body></html>"`)
	f(nil, answers("<methodResponse><params>"), Down, `200 but the body is no XML: "<methodResponse><params>"`)
	f(nil, answers(""), Down, `200 but the body is no methodResponse: ""`)
	f(nil, says("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), Overloaded, "503: the target says that it is overloaded")
	f(nil, says("HTTP/1.1 302 Found\r\nLocation: /RPC2\r\nContent-Length: 0\r\n\r\n"), Down, "status 302, wanted 200")
	f(nil, says("220 mail\r\n"), Down, `not HTTP: the answer begins with "220 mail"`)
	f(nil, then(says("HTTP/1.1 200 OK\r\n"), endless("X: y\r\n")), Down, "header larger than 32 KB")
	f(nil, then(says("HTTP/1.1 200 OK\r\n\r\n<methodResponse>"), endless("<params>")), Down, "200 but the answer is longer than 64 KB")
	f(nil, says("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n<methodResponse>"), Down, "200 but connection closed in the body after 16 of 50 bytes")
	f(nil, then(says("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n<met"), stall), Down, "200 but timed out in the body")
	f(nil, func(c net.Conn) {
		readRequest(c)
		reset(c)
	}, Down, "connection reset before the first byte")
	f(nil, stall, Down, "timed out before the first byte")
	f(nil, then(write("HTTP/1.1 200 OK\r\nX: "), drips("H")), Down, "timed out in the headers")
	if r := Probe(t.Context(), quick("xmlrpc"), refused(t), Settings{}); r.Reason != "connection refused" {
		t.Errorf("%+v", r)
	}
}

func TestXMLRPCSends(t *testing.T) {
	got := make(chan string, 1)
	addr := responder(t, func(c net.Conn) {
		all, buf := "", make([]byte, 512)
		for !strings.HasSuffix(all, "</methodCall>") {
			n, err := c.Read(buf)
			if all += string(buf[:n]); err != nil {
				break
			}
		}
		got <- all
		write("HTTP/1.1 200 OK\r\n\r\n" + aliveXML)(c)
	})
	m := quick("xmlrpc")
	m.Path, m.Method, m.Headers = "/xml", "system.ping", []string{"X-Probe: 1"}
	Probe(t.Context(), m, addr, Settings{})
	want := "POST /xml HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: text/xml\r\nContent-Length: 91\r\nConnection: close\r\nX-Probe: 1\r\n\r\n" +
		`<?xml version="1.0"?><methodCall><methodName>system.ping</methodName><params/></methodCall>`
	if g := <-got; g != want {
		t.Errorf("sent %q, want %q", g, want)
	}
}

func TestXMLRPCOverTLS(t *testing.T) {
	ca := newAuthority(t)
	now := time.Now()
	addr := respond(t, ca.server("cb.test", now.Add(-time.Hour), now.Add(time.Hour)), answers(aliveXML))
	m := quick("xmlrpc")
	m.TLS, m.CA = true, ca.file
	if r := Probe(t.Context(), m, addr, Settings{}); r.State != Up || r.TLS <= 0 || r.CertExpiry.IsZero() {
		t.Errorf("%+v", r)
	}
	m.ServerName = "lb.test"
	if r := Probe(t.Context(), m, addr, Settings{}); r.Reason != `certificate is not for "lb.test" but for ["cb.test" "127.0.0.1"]` {
		t.Errorf("%+v", r)
	}
}

func FuzzMethodResponse(f *testing.F) {
	for _, s := range []string{aliveXML, faultXML, "", "<a/>", "<methodResponse/>", "<methodResponse><params/></methodResponse><x/>", strings.Repeat("<a>", 5000), "<!DOCTYPE x [<!ENTITY a \"b\">]><methodResponse>&a;</methodResponse>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := methodResponse(body)
		if err != nil && (value != nil || err.Error() == "" || len(err.Error()) > 1000) {
			t.Fatalf("%q: %q, %v", body, value, err)
		}
		if len(value) > 2*len(body) {
			t.Fatalf("%q: %q", body, value)
		}
		if err == nil && strings.Contains(string(body), "<fault>") && !strings.Contains(string(body), "<params") {
			t.Fatalf("%q: a fault counts as an answer", body)
		}
	})
}
