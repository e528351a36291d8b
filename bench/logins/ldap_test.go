package logins

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"switchpoint/bench/ldapserver"
	"switchpoint/internal/ownca"
)

func TestBER(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 300)
	message := tlv(tagSequence, integer(tagInteger, 7), tlv(tagBindRequest, integer(tagInteger, 3), octets("cn=a"), tlv(tagSimple, long)))
	p, err := ber.DecodePacketErr(message)
	if err != nil || p.Children[0].Value != int64(7) || p.Children[1].Tag != 0 || p.Children[1].Children[1].Value != "cn=a" || !bytes.Equal(p.Children[1].Children[2].Data.Bytes(), long) {
		t.Fatalf("%v, %v", p, err)
	}
	got, err := readPDU(bufio.NewReader(bytes.NewReader(message)), nil)
	if err != nil || !bytes.Equal(got, message) {
		t.Fatalf("%x, %v", got, err)
	}
	if tag, content, err := operation(got); err != nil || tag != tagBindRequest || len(content) < 300 {
		t.Errorf("%#x with %d bytes, %v", tag, len(content), err)
	}
	result := ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, uint64(49), "")
	if code, err := resultCode(result.Bytes()); err != nil || code != 49 {
		t.Errorf("%d, %v", code, err)
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "no sequence": {2, 1, 1}, "cut off": message[:20], "too long": {tagSequence, 0x84, 0x7f, 0, 0, 0}, "no length": {tagSequence, 0x80},
	} {
		if pdu, err := readPDU(bufio.NewReader(bytes.NewReader(b)), nil); err == nil {
			t.Errorf("%s: %x", name, pdu)
		}
	}
}

func FuzzPDU(f *testing.F) {
	f.Add(tlv(tagSequence, integer(tagInteger, 7), tlv(tagBindRequest, integer(tagInteger, 3))))
	f.Add([]byte{tagSequence, 0x84, 0, 0, 0, 2, 2, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		pdu, err := readPDU(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			return
		}
		if _, content, err := operation(pdu); err == nil {
			_, _ = resultCode(content)
		}
	})
}

// TestPace: so many a second, in order, and nothing saved up.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := &pace{every: 10 * time.Millisecond}
		for i := range 300 {
			if at := p.turn(time.Now()).Sub(start); at != time.Duration(i)*p.every {
				t.Fatalf("turn %d at %s", i, at)
			}
		}
		time.Sleep(time.Minute)
		first, second := p.turn(time.Now()), p.turn(time.Now())
		if first != time.Now() || second.Sub(first) != p.every {
			t.Errorf("after a pause: %s and %s", time.Until(first), second.Sub(first))
		}
	})
}

// directory starts slapd for the test.
func directory(t *testing.T, users int) (*ldapserver.Server, *ownca.Folder) {
	t.Helper()
	s, err := prepareStage("", users)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	cert, key := s.ca.Files("slapd")
	s.ldap, err = ldapserver.Start(t.Context(), ldapserver.Options{
		Dir: s.file("slapd"), Addr: s.host + ":0", CA: s.ca.CAFile(), Cert: cert, Key: key, Password: "service", Users: users,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.ldap, s.ca
}

// secret is a file with a password.
func secret(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDirectory: the raw client against a real slapd, and through the slow door.
func TestDirectory(t *testing.T) {
	server, ca := directory(t, 20)
	t20 := task{Users: 20, CA: ca.CAFile(), LDAP: server.Addr, Service: secret(t, "service"), Clients: 4, For: 300 * time.Millisecond}
	r, err := runRawLDAP(t.Context(), t20, func(string) error { return nil })
	if err != nil || r.Failed > 0 || r.OK < 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	t20.Service = secret(t, "wrong")
	if _, err := runRawLDAP(t.Context(), t20, func(string) error { return nil }); err == nil {
		t.Error("a wrong password of the service account is taken")
	}

	const perSec = 20
	cert, key := ca.Files("slow")
	host, _, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	addr := make(chan string, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		slow := task{LDAP: server.Addr, CA: ca.CAFile(), Listen: host + ":0", Cert: cert, KeyFile: key, PerSec: perSec}
		if err := serveSlowly(ctx, slow, func(a string) error { addr <- a; return nil }); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	through := task{Users: 20, CA: ca.CAFile(), LDAP: <-addr}
	search, err := dialLDAP(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	defer search.conn.Close()
	if err := search.bind(ldapserver.Service, "service"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 10 { // searches pass at once
		if _, err := search.find(ldapserver.UserName(i)); err != nil {
			t.Fatal(err)
		}
	}
	searched := time.Since(began)
	signs, err := dialLDAP(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	defer signs.conn.Close()
	began = time.Now()
	const binds = 10
	for i := range binds {
		dn, err := search.find(ldapserver.UserName(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := signs.bind(dn, ldapserver.UserPassword(i)); err != nil {
			t.Fatal(err)
		}
		if err := signs.bind(dn, "wrong"); err == nil {
			t.Fatal("a wrong password is taken")
		}
	}
	if took := time.Since(began); took < (2*binds-1)*time.Second/perSec || searched > took {
		t.Errorf("%d binds took %s, %d searches %s", 2*binds, took, 10, searched)
	}
	if _, err := search.find("nobody"); err == nil {
		t.Error("somebody is found who does not exist")
	}
}

// TestNoDirectory: what a server that is not there, or that speaks no LDAP, becomes.
func TestNoDirectory(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		_, _ = theirs.Read(make([]byte, 1024))
		_, _ = theirs.Write([]byte("HTTP/1.1 400\r\n"))
		_ = theirs.Close()
	}()
	c := &rawConn{conn: ours, in: bufio.NewReader(ours)}
	if err := c.bind("cn=a", "b"); err == nil || errors.Is(err, io.EOF) {
		t.Error(err)
	}
	_ = ours.Close()
	if _, err := dialLDAP(t.Context(), task{CA: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file that is not there is taken")
	}
}
