package demodir

import (
	"errors"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// errMalformed ends a connection.
var errMalformed = errors.New("malformed request")

// message is the envelope of a request (RFC 4511, 4.1.1).
type message struct {
	id int64
	op *ber.Packet
}

func decodeMessage(p *ber.Packet) (message, error) {
	if p == nil || len(p.Children) < 2 {
		return message{}, errMalformed
	}
	id, ok := p.Children[0].Value.(int64)
	if !ok || id < 0 || p.Children[1].ClassType != ber.ClassApplication {
		return message{}, errMalformed
	}
	return message{id: id, op: p.Children[1]}, nil
}

// bindRequest is a simple bind (RFC 4511, 4.2); simple is false for other methods.
type bindRequest struct {
	version        int64
	name, password string
	simple         bool
}

func decodeBind(op *ber.Packet) (bindRequest, error) {
	if len(op.Children) != 3 {
		return bindRequest{}, errMalformed
	}
	version, ok := op.Children[0].Value.(int64)
	if !ok {
		return bindRequest{}, errMalformed
	}
	auth := op.Children[2]
	return bindRequest{
		version:  version,
		name:     text(op.Children[1]),
		password: text(auth),
		simple:   auth.ClassType == ber.ClassContext && auth.Tag == 0,
	}, nil
}

// searchRequest is RFC 4511, 4.5.1, without what the demo does not use.
type searchRequest struct {
	base       string
	scope      int64
	sizeLimit  int64
	filter     *ber.Packet
	attributes []string
}

func decodeSearch(op *ber.Packet) (searchRequest, error) {
	if len(op.Children) != 8 {
		return searchRequest{}, errMalformed
	}
	scope, ok := op.Children[1].Value.(int64)
	size, ok2 := op.Children[3].Value.(int64)
	if !ok || !ok2 || scope < 0 || scope > 2 || size < 0 {
		return searchRequest{}, errMalformed
	}
	r := searchRequest{base: text(op.Children[0]), scope: scope, sizeLimit: size, filter: op.Children[6]}
	for _, a := range op.Children[7].Children {
		r.attributes = append(r.attributes, text(a))
	}
	return r, nil
}

func envelope(id int64) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "LDAP Response")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "MessageID"))
	return p
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// encodeResult is an LDAPResult under the response tag of its request (RFC 4511, 4.1.9).
func encodeResult(id int64, tag ber.Tag, code int64, diagnostic string) []byte {
	p := envelope(id)
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "Result")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, "resultCode"))
	r.AppendChild(octets(""))
	r.AppendChild(octets(diagnostic))
	p.AppendChild(r)
	return p.Bytes()
}

func encodeEntry(id int64, dn string, attributes []attribute) []byte {
	p := envelope(id)
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "Entry")
	e.AppendChild(octets(dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "Attributes")
	for _, a := range attributes {
		one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "Attribute")
		one.AppendChild(octets(a.name))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "Values")
		for _, v := range a.values {
			values.AppendChild(octets(v))
		}
		one.AppendChild(values)
		list.AppendChild(one)
	}
	e.AppendChild(list)
	p.AppendChild(e)
	return p.Bytes()
}
