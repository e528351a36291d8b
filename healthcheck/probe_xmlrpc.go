package healthcheck

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"switchpoint/internal/problem"
)

func (m Monitor) validateXMLRPC(l *problem.List) {
	if !strings.HasPrefix(m.Path, "/") || strings.ContainsFunc(m.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		l.Addf("path", `write a path such as "/RPC2"`, "%q is no path of a request", m.Path)
	}
	// The XML-RPC specification allows these characters in a methodName.
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.:/", r)
	}
	if strings.ContainsFunc(m.Method, odd) {
		l.Addf("method", `write a method name such as "broker.isAlive"`, "%q is no name of an XML-RPC method", m.Method)
	}
	if !m.TLS {
		if m.CA != "" || m.NoVerify {
			m.ServerName = "" // it is the Host line as well
			m.refuseTLSKeys(l, "write tls = true, or remove it")
		}
	}
}

// caller is a compiled monitor of kind xmlrpc.
type caller struct {
	dial *dialer
	tls  *tls.Config // nil: plain
	send request
	want matcher
}

// newXMLRPC is kind "xmlrpc": call a method without parameters; the answer must be a
// methodResponse that is no fault.
func newXMLRPC(m Monitor, d *dialer) (exchange, error) {
	body := `<?xml version="1.0"?><methodCall><methodName>` + m.Method + `</methodName><params/></methodCall>`
	post := m
	post.Kind = "http"
	if m.TLS {
		post.Kind = "https" // for the port that a Host line leaves out
	}
	post.Send = "POST " + m.Path + "\r\nContent-Type: text/xml\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	c := &caller{dial: d}
	var err error
	if c.send, err = newRequest(post); err != nil {
		return nil, err
	}
	if c.want, err = newMatcher(m.Receive); err != nil {
		return nil, err
	}
	if m.TLS {
		if c.tls, err = tlsConfig(m); err != nil {
			return nil, err
		}
	}
	return c.ask, nil
}

func (c *caller) ask(ctx context.Context, address string, r *Result) {
	raw := c.dial.dialFor(ctx, c.tls, address, r)
	if raw == nil {
		return
	}
	defer raw.Close()
	var conn net.Conn = raw
	if c.tls != nil {
		secure := handshake(ctx, raw, c.tls, address, r)
		if secure == nil {
			return
		}
		conn = secure
	}
	if _, err := conn.Write(c.send.bytes(address)); err != nil {
		r.fail(ctx, inSend, err)
		return
	}
	sent := time.Now()
	br := bufio.NewReaderSize(conn, 4096)
	if _, err := br.Peek(1); err != nil {
		r.fail(ctx, inFirstByte, err)
		return
	}
	r.TTFB = time.Since(sent)
	res := response{length: -1}
	if err := res.readHead(br); err != nil {
		r.keep(res.body)
		r.fail(ctx, inHeader, err)
		return
	}
	r.Status, r.Load = res.status, res.load
	err := res.readBody(br)
	r.keep(res.body)
	c.judge(ctx, &res, err, r)
}

// judge makes an answer a result. The specification has "200 OK" on every answer, faults
// included; a 503 is a target's or its balancer's own word that it is overloaded.
func (c *caller) judge(ctx context.Context, res *response, err error, r *Result) {
	switch {
	case res.status == 503:
		r.State, r.Reason = Overloaded, "503: the target says that it is overloaded"
	case res.status != 200:
		r.down("status " + strconv.Itoa(res.status) + ", wanted 200")
	case err != nil:
		r.fail(ctx, inBody, err)
		r.Reason = "200 but " + r.Reason
	case !res.whole:
		r.down(fmt.Sprintf("200 but the answer is longer than %d KB", bodyLimit>>10))
	default:
		value, err := methodResponse(res.body)
		switch {
		case err != nil:
			r.down("200 but " + err.Error())
		case !c.want.in(value):
			r.down(fmt.Sprintf("the method answered %s, wanted %s", show(value), c.want.name))
		default:
			r.State, r.Reason = Up, "the method answered "+show(value)
		}
	}
}

// maxDepth bounds how deep the elements of an answer may lie in each other.
const maxDepth = 64

// methodResponse reads an XML-RPC answer and gives the text of its value, the parts of a
// structure parted by blanks. The error says in words that it is a fault or no answer at all.
func methodResponse(body []byte) ([]byte, error) {
	dec := xml.NewDecoder(bytes.NewReader(body))
	dec.Strict = true
	var path []string
	var value []byte
	fault, params, closed := false, false, false
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the body is no XML: %s", show(body))
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(path) == 0 && (closed || tok.Name.Local != "methodResponse") || len(path) >= maxDepth {
				return nil, fmt.Errorf("the body is no methodResponse: %s", show(body))
			}
			path = append(path, tok.Name.Local)
			if len(path) == 2 {
				fault = fault || tok.Name.Local == "fault"
				params = params || tok.Name.Local == "params"
			}
		case xml.EndElement:
			path = path[:len(path)-1]
			closed = closed || len(path) == 0
		case xml.CharData:
			if text := bytes.TrimSpace(tok); len(text) > 0 && len(path) > 2 {
				value = append(append(value, text...), ' ')
			}
		}
	}
	value = bytes.TrimSuffix(value, []byte(" "))
	switch {
	case fault:
		return nil, fmt.Errorf("the method failed: %s", show(value))
	case !closed || !params:
		return nil, fmt.Errorf("the body is no methodResponse: %s", show(body))
	}
	return value, nil
}
