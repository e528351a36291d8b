package logins

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"switchpoint/bench/ldapserver"
)

// rawConn is a connection to a directory with nothing around it: what pgbench is to the database.
type rawConn struct {
	conn net.Conn
	in   *bufio.Reader
	pdu  []byte
	id   int32
}

func dialLDAP(ctx context.Context, t task) (*rawConn, error) {
	roots, err := rootsOf(t.CA)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", t.LDAP)
	if err != nil {
		return nil, fmt.Errorf("connect to the directory: %w", err)
	}
	return &rawConn{conn: conn, in: bufio.NewReader(conn)}, nil
}

// send writes a request.
func (c *rawConn) send(op []byte) error {
	c.id++
	_ = c.conn.SetDeadline(time.Now().Add(answerTimeout))
	_, err := c.conn.Write(tlv(tagSequence, integer(tagInteger, c.id), op))
	return err
}

// receive reads an answer.
func (c *rawConn) receive() (tag byte, content []byte, err error) {
	if c.pdu, err = readPDU(c.in, c.pdu); err != nil {
		return 0, nil, err
	}
	return operation(c.pdu)
}

// bind is a simple bind (RFC 4513 5.1.3).
func (c *rawConn) bind(dn, password string) error {
	if err := c.send(tlv(tagBindRequest, integer(tagInteger, 3), octets(dn), tlv(tagSimple, []byte(password)))); err != nil {
		return err
	}
	tag, content, err := c.receive()
	if err != nil {
		return err
	}
	code, err := resultCode(content)
	if err == nil && (tag != tagBindResult || code != 0) {
		err = fmt.Errorf("bind: answer %#02x with code %d", tag, code)
	}
	return err
}

// asked are the attributes that a broker reads, too.
var asked = []string{"distinguishedName", "uid", "sAMAccountName", "userPrincipalName", "entryUUID", "objectGUID"}

// find searches the one entry of a user and returns its DN.
func (c *rawConn) find(user string) (dn string, err error) {
	var names []byte
	for _, a := range asked {
		names = append(names, octets(a)...)
	}
	err = c.send(tlv(tagSearch, octets(ldapserver.Base), integer(tagEnumerated, 2), integer(tagEnumerated, 0),
		integer(tagInteger, 2), integer(tagInteger, 3), []byte{tagBoolean, 1, 0},
		tlv(tagEquality, octets("uid"), octets(user)), tlv(tagSequence, names)))
	if err != nil {
		return "", err
	}
	for {
		tag, content, err := c.receive()
		if err != nil {
			return "", err
		}
		switch tag {
		case tagEntry:
			_, from, to, err := element(content)
			if err != nil {
				return "", err
			}
			dn = string(content[from:to])
		case tagSearchDone:
			code, err := resultCode(content)
			if err == nil && (code != 0 || dn == "") {
				err = fmt.Errorf("search: code %d, entry %q", code, dn)
			}
			return dn, err
		}
	}
}

// runRawLDAP searches and binds in a closed loop, on as many kept connections for each as there are
// clients: the most that a broker could get out of this directory.
func runRawLDAP(ctx context.Context, t task, ready func(string) error) (*Result, error) {
	password, err := os.ReadFile(t.Service)
	if err != nil {
		return nil, err
	}
	searches, binds := make(chan *rawConn, t.Clients), make(chan *rawConn, t.Clients)
	var all []*rawConn
	defer func() {
		for _, c := range all {
			_ = c.conn.Close()
		}
	}()
	for i := range 2 * t.Clients {
		c, err := dialLDAP(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if i%2 == 1 {
			binds <- c
			continue
		}
		if err := c.bind(ldapserver.Service, strings.TrimSpace(string(password))); err != nil {
			return nil, fmt.Errorf("the service account: %w", err)
		}
		searches <- c
	}
	if err := ready(""); err != nil {
		return nil, err
	}
	sum := drive(ctx, t, func(_ context.Context, v visit) error {
		user := (t.First + v.n) % t.Users
		s := <-searches
		dn, err := s.find(ldapserver.UserName(user))
		searches <- s
		if err != nil {
			return err
		}
		b := <-binds
		err = b.bind(dn, ldapserver.UserPassword(user))
		binds <- b
		return err
	})
	r, err := sum.result(false)
	if err == nil && r.OK == 0 {
		err = errors.New("no search and bind succeeded")
	}
	return r, err
}
