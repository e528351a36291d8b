package demodir

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// What cannot be decoded ends its connection and nothing else.
func TestMalformedRequests(t *testing.T) {
	s := serve(t, Options{})
	for name, sent := range map[string]string{
		"HTTP":                    "GET / HTTP/1.1\r\n\r\n",
		"length without contents": "\x30\x84\x7f\xff\xff\xff",
		"length overflow":         "\x30\x84\xff\xff\xff\xff",
		"LDAPv2 bind":             "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\x00\x80\x00",
		"SASL bind":               "\x30\x0f\x02\x01\x01\x60\x0a\x02\x01\x03\x04\x00\xa3\x03\x04\x01x",
		"search without fields":   "\x30\x05\x02\x01\x01\x63\x00",
		"compare":                 "\x30\x0c\x02\x01\x01\x6e\x07\x04\x00\x30\x03\x04\x01x",
		"abandon":                 "\x30\x06\x02\x01\x02\x50\x01\x01",
		"unknown operation":       "\x30\x05\x02\x01\x01\x7e\x00",
		"no message id":           "\x30\x00",
	} {
		c, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, sent)
		_ = c.(*net.TCPConn).CloseWrite()
		if answer, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) || len(answer) > 0 {
			t.Errorf("%s: answer %q, %v", name, answer, err)
		}
		_ = c.Close()
	}
	if err := dial(t, s).Bind(ServiceDN, ServicePassword); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
