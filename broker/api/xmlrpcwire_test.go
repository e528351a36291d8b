package api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// wellFormed fails unless the text is one XML document.
func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
}

// TestXMLRPCValues: every type of value, and text that XML cannot hold.
func TestXMLRPCValues(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 30, 5, 7, time.FixedZone("x", 3600))
	for _, c := range []struct {
		value any
		want  string
	}{
		{"a<b>&\x00\xff", "<string>a&lt;b&gt;&amp;\ufffd\ufffd</string>"},
		{-7, "<int>-7</int>"},
		{true, "<boolean>1</boolean>"},
		{false, "<boolean>0</boolean>"},
		{at, "<dateTime.iso8601>20261122T03:30:05</dateTime.iso8601>"},
		{[]any{}, "<array><data></data></array>"},
		{[]any{1, "x"}, "<array><data><value><int>1</int></value><value><string>x</string></value></data></array>"},
		{[]member{{"b", 1}, {"a", []any{}}}, "<struct><member><name>b</name><value><int>1</int></value></member><member><name>a</name><value><array><data></data></array></value></member></struct>"},
	} {
		got := responseOf(c.value)
		wellFormed(t, got)
		if !strings.Contains(string(got), "<param><value>"+c.want+"</value></param>") {
			t.Errorf("%v: %s", c.value, got)
		}
	}
}

func FuzzXMLRPC(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0"?><methodCall><methodName>broker.isAlive</methodName><params/></methodCall>`,
		`<methodCall><methodName>a</methodName><params><param><value><struct><member><name>x</name><value>1</value></member></struct></value></param></params></methodCall>`,
		`<methodCall><methodName> a </methodName></methodCall><!-- end -->`, `<methodCall/>`, `<a:methodCall xmlns:a="b"/>`, `<!DOCTYPE a>`, "\xff", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, bad := readCall(bytes.NewReader(body))
		if bad != nil {
			wellFormed(t, bad.response())
			return
		}
		if c.method == "" || len(c.method) > maxMethodName || c.params < 0 || c.params > maxCallElements {
			t.Errorf("%q is %+v", body, c)
		}
		// What was read can be written, and is read the same.
		var again bytes.Buffer
		again.WriteString("<methodCall><methodName>")
		if err := xml.EscapeText(&again, []byte(c.method)); err != nil {
			t.Fatal(err)
		}
		again.WriteString("</methodName><params>" + strings.Repeat("<param/>", c.params) + "</params></methodCall>")
		if second, bad := readCall(&again); bad != nil || second != c {
			t.Errorf("%q is %+v, then %+v (%v)", body, c, second, bad)
		}
	})
}
