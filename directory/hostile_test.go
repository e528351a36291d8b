package directory

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

func repeat(b []byte, size int) []byte { return bytes.Repeat(b, size/len(b)+1) }

// long is a BER element of content.
func long(tag byte, content []byte) []byte {
	n := len(content)
	return append([]byte{tag, 0x84, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, content...)
}

// garbage is what a broken or hostile directory may answer to request id.
func garbage(id int64) map[string][]byte {
	random := make([]byte, 1<<16)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(random)
	head := []byte{0x02, 0x01, byte(id)}
	code := func(enumerated ...byte) []byte {
		op := append(append([]byte{0x0a, byte(len(enumerated))}, enumerated...), 0x04, 0, 0x04, 0)
		return long(0x30, append(append([]byte{}, head...), long(0x61, op)...))
	}
	entry := message(id, entryOf("uid=x,dc=company,dc=com", "uid", "alice"))
	other := message(id+1000, entryOf("uid=x,dc=company,dc=com", "uid", "alice"))
	deep := long(0x61, nil)
	for range 2000 {
		deep = long(0x30, deep)
	}
	return map[string][]byte{
		"random bytes":                     random,
		"text":                             []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"nothing and the end":              nil,
		"a length of 4 GiB":                {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01},
		"a length of 2 GiB, then zeros":    append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 8<<20)...),
		"an indefinite length":             append([]byte{0x30, 0x80}, repeat([]byte{0x30, 0x80}, 1<<20)...),
		"a length of 120 bytes":            append([]byte{0x30, 0xf8}, make([]byte, 120)...),
		"deep nesting":                     long(0x30, append(append([]byte{}, head...), deep...)),
		"two million elements":             long(0x30, append(append([]byte{}, head...), long(0x64, repeat([]byte{0x30, 0}, 3<<20))...)),
		"entries without end":              repeat(entry, 6<<20),
		"entries of another search":        repeat(other, 6<<20),
		"no result code":                   code(),
		"a result code of 9 bytes":         code(1, 0, 0, 0, 0, 0, 0, 0, 0),
		"a result code of 65536":           code(1, 0, 0),
		"a result code of -1":              code(0xff),
		"an element longer than its frame": {0x30, 0x05, 0x02, 0x01, byte(id), 0x61, 0x7f},
		"half a message":                   code(0)[:12],
		"a modify response":                message(id, resultOf(ldap.ApplicationModifyResponse, 0, "")),
		"an application tag of its own":    message(id, resultOf(30, 0, "")),
		"an empty sequence":                {0x30, 0},
		"a message without an operation":   long(0x30, head),
		"a boolean of 3 bytes":             long(0x30, append(append([]byte{}, head...), long(0x64, []byte{0x01, 3, 1, 1, 1})...)),
	}
}

// Whatever a directory answers, a login ends in time, is neither accepted nor blamed on the user,
// and takes bounded memory.
func TestGarbageAnswers(t *testing.T) {
	for name := range garbage(0) {
		for _, step := range []ber.Tag{ldap.ApplicationSearchRequest, ldap.ApplicationBindRequest} {
			address := fakeServer(t, func(id int64, op *ber.Packet) []byte {
				switch op.Tag {
				case step:
					if base, scope, _ := searchOf(op); scope == ldap.ScopeBaseObject && base == "" && step == ldap.ApplicationSearchRequest {
						return done(id) // the root DSE, so that the garbage meets the login
					}
					return garbage(id)[name]
				case ldap.ApplicationSearchRequest:
					return append(message(id, entryOf("uid=alice,dc=company,dc=com", "uid", "alice")), done(id)...)
				}
				return nil
			})
			cfg := fakeConfig(address)
			cfg.Timeout = time.Second
			c, err := New(Options{Config: cfg})
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			e, err := c.Authenticate(t.Context(), "alice", "secret", nil)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if err == nil || errors.Is(err, ErrRefused) && step == ldap.ApplicationBindRequest {
				t.Errorf("%s to %d: %+v, %v", name, step, e, err)
			}
			if took > 10*cfg.Timeout { // the machine may be busy
				t.Errorf("%s to %d: took %s", name, step, took)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 150<<20 {
				t.Errorf("%s to %d: %d MB were allocated", name, step, grown>>20)
			}
			closeAll(c)
		}
	}
}

func searchOf(op *ber.Packet) (base string, scope int64, attributes []string) {
	if op.Tag != ldap.ApplicationSearchRequest {
		return "", -1, nil
	}
	return asked(op)
}

// What a login sends is bounded too: nothing of this reaches a server.
func TestHostileInputStaysHere(t *testing.T) {
	c, err := New(Options{Config: demoConfig(t, "127.0.0.1:1")}) // nobody listens there
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(c)
	big := strings.Repeat("x", 1<<20)
	for what, err := range map[string]error{
		"a password of 1 MB":      second(c.Authenticate(t.Context(), "alice", big, nil)),
		"a password with NUL":     second(c.Authenticate(t.Context(), "alice", "alice-demo\x00x", nil)),
		"a bind with NUL":         c.Bind(t.Context(), "uid=alice", "alice-demo\x00"),
		"a name of 1 MB":          second(c.Authenticate(t.Context(), big, "x", nil)),
		"a name with NUL":         second(c.Authenticate(t.Context(), "alice\x00", "x", nil)),
		"a search for 1 MB":       second(c.Search(t.Context(), big, nil)),
		"an id of 1 MB":           second(c.Lookup(t.Context(), big, nil)),
		"an id with NUL":          second(c.Lookup(t.Context(), "uid=a\x00", nil)),
		"an old password of 1MB":  c.ChangePassword(t.Context(), "alice", big, "x"),
		"a new password of 1 MB":  c.ChangePassword(t.Context(), "alice", "x", big),
		"a new password with \\0": c.ChangePassword(t.Context(), "alice", "x", "a\x00b"),
	} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second(_ Entry, err error) error { return err }

// FuzzAnswer gives any bytes as the answer to a bind and to a search: it ends, and nothing but a
// bind response with result code 0 is a right password.
func FuzzAnswer(f *testing.F) {
	f.Add(message(1, resultOf(ldap.ApplicationBindResponse, 0, "")))
	f.Add(message(1, resultOf(ldap.ApplicationBindResponse, 49, "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data 52e, v4563")))
	f.Add(append(message(2, resultOf(ldap.ApplicationBindResponse, 0, "")), message(1, resultOf(ldap.ApplicationBindResponse, 10, ""))...))
	f.Add(append(message(1, entryOf("uid=x", "uid", "x", "memberOf;range=0-1", "a;b")), done(1)...))
	f.Add(append(message(1, entryOf("cn=x", "objectGUID", "short", "entryUUID", "")), done(1)...))
	f.Add([]byte("\x30\x2a\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00\xa0\x1c\x30\x1a\x04\x181.3.6.1.4.1.42.2.27.8.5.1"))
	for _, b := range garbage(1) {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		began := time.Now()
		defer func() {
			if took := time.Since(began); took > 9*time.Second {
				t.Errorf("%x: only the deadline ended it, after %s", answer, took)
			}
		}()
		if err := exchangeOnce(answer, bindAnswers, func(l *ldap.Conn) error {
			s := &server{}
			s.facts.Store(&facts{policy: true})
			state, err := simpleBind(s, l, "uid=x", "secret")
			return bindResult(err, state)
		}); err == nil && !bindSucceeds(answer) {
			t.Errorf("%x is taken for success", answer)
		}
		_ = exchangeOnce(answer, searchAnswers, func(l *ldap.Conn) error {
			res, err := l.Search(factsRequest(0))
			if err != nil {
				return err
			}
			for _, e := range res.Entries {
				n := newEntry(e, loginName{account: "x"})
				_ = n.unusable(time.Now())
				_ = newRecord(e)
				newFacts(e).context("dc=x")
			}
			return nil
		})
	})
}

// exchangeOnce does op with a server that has one answer.
func exchangeOnce(answer []byte, expect answers, op func(*ldap.Conn) error) error {
	ours, theirs := net.Pipe()
	raw := &wire{Conn: ours}
	c := newConn(raw, raw)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		if _, err := theirs.Read(buf); err == nil {
			_, _ = theirs.Write(answer)
		}
		_ = theirs.Close()
	}()
	err := c.do(context.Background(), time.Now().Add(10*time.Second), expect, op)
	c.close()
	<-done
	return err
}

// bindSucceeds reads answer without go-ldap: of the first message with id 1, is it a bind response
// with code 0?
func bindSucceeds(answer []byte) bool {
	for {
		body, rest, tag, err := element(answer)
		if err != nil || tag != 0x30 {
			return false
		}
		id, after, _, err := element(body)
		if err != nil {
			return false
		}
		answer = rest
		if n, err := ber.ParseInt64(id); err != nil || n != 1 {
			continue
		}
		op, _, tag, err := element(after)
		if err != nil || tag != 0x61 {
			return false
		}
		code, _, tag, err := element(op)
		if err != nil || tag != 0x0a && tag != 0x02 {
			return false
		}
		n, err := ber.ParseInt64(code)
		return err == nil && n == 0 && len(code) > 0
	}
}

// FuzzMessage: what checkMessage lets through, the decoder can read.
func FuzzMessage(f *testing.F) {
	for _, b := range garbage(1) {
		f.Add(b[:min(len(b), 4096)])
	}
	f.Add(message(1, entryOf("uid=x", "uid", "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := checkMessage(b, ^answers(0), maxParts)
		if err != nil {
			return
		}
		if _, err := ber.DecodePacketErr(b); err != nil || parts < 2 {
			t.Errorf("%x: %d parts, %v", b, parts, err)
		}
		if _, err := checkMessage(b, ^answers(0), parts-1); err == nil {
			t.Errorf("%x: more parts than allowed", b)
		}
		read, err := readMessage(bytes.NewReader(append(b, "more"...)), nil, int64(len(b)))
		if err != nil || !bytes.Equal(read, b) {
			t.Errorf("%x is read as %x, %v", b, read, err)
		}
	})
}
