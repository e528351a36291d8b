package directory

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// fakeServer answers LDAP requests with whatever bytes a test says: what no real server does.
func fakeServer(t testing.TB, answer func(id int64, op *ber.Packet) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					p, err := ber.ReadPacket(in)
					if err != nil || len(p.Children) < 2 {
						return
					}
					id, _ := p.Children[0].Value.(int64)
					if _, err := conn.Write(answer(id, p.Children[1])); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

func fakeConfig(address string) Config {
	return Config{Name: "fake", Servers: []string{"ldap://" + address}, BaseDN: "dc=company,dc=com"}
}

// message is an LDAPMessage.
func message(id int64, op *ber.Packet) []byte {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p.Bytes()
}

// resultOf is an LDAPResult of some operation.
func resultOf(tag ber.Tag, code int64, text string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	return p
}

// entryOf is a SearchResultEntry with pairs of attribute and values, which commas part.
func entryOf(dn string, attributes ...string) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.NewSequence("")
	for i := 0; i < len(attributes); i += 2 {
		a := ber.NewSequence("")
		a.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, attributes[i], ""))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for v := range strings.SplitSeq(attributes[i+1], ";") {
			if v != "" {
				set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
			}
		}
		a.AppendChild(set)
		list.AppendChild(a)
	}
	p.AppendChild(list)
	return p
}

// asked are the base, scope and attributes of a search request.
func asked(op *ber.Packet) (base string, scope int64, attributes []string) {
	base, _ = op.Children[0].Value.(string)
	scope, _ = op.Children[1].Value.(int64)
	for _, a := range op.Children[7].Children {
		attributes = append(attributes, a.Value.(string))
	}
	return base, scope, attributes
}

// done is the end of a search.
func done(id int64) []byte { return message(id, resultOf(ldap.ApplicationSearchResultDone, 0, "")) }
