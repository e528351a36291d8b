package demodir

import (
	"errors"
	"io"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxRequest bounds one request, in bytes.
const maxRequest = 64 << 10

// session is one connection's state: who is bound.
type session struct {
	tree    *tree
	service bool // bound as ServiceDN
}

// serve answers requests one after the other until the client unbinds, goes, or sends what
// cannot be decoded; only the last is an error.
func (s *session) serve(r io.Reader, w io.Writer, before func() error) error {
	for {
		if err := before(); err != nil {
			return nil // the connection is closed
		}
		p, err := ber.ReadPacket(io.LimitReader(r, maxRequest))
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
		m, err := decodeMessage(p)
		if err != nil {
			return err
		}
		if m.op.Tag == ldap.ApplicationUnbindRequest {
			return nil
		}
		answer, err := s.answer(m)
		if err != nil {
			return err
		}
		if _, err := w.Write(answer); err != nil {
			return nil // the client is gone
		}
	}
}

func (s *session) answer(m message) ([]byte, error) {
	switch m.op.Tag {
	case ldap.ApplicationBindRequest:
		req, err := decodeBind(m.op)
		if err != nil {
			return nil, err
		}
		code, text := s.bind(req)
		return encodeResult(m.id, ldap.ApplicationBindResponse, code, text), nil
	case ldap.ApplicationSearchRequest:
		req, err := decodeSearch(m.op)
		if err != nil {
			return nil, err
		}
		return s.search(m.id, req), nil
	case ldap.ApplicationExtendedRequest: // StartTLS among them (RFC 4511, 4.12)
		return encodeResult(m.id, ldap.ApplicationExtendedResponse, ldap.LDAPResultProtocolError, "not supported by the demo directory"), nil
	case ldap.ApplicationAbandonRequest:
		return nil, nil // every request is already answered
	case ldap.ApplicationModifyRequest, ldap.ApplicationAddRequest, ldap.ApplicationDelRequest, ldap.ApplicationModifyDNRequest, ldap.ApplicationCompareRequest:
		// The response tag of these is the next number.
		return encodeResult(m.id, m.op.Tag+1, ldap.LDAPResultUnwillingToPerform, "the demo directory is read-only"), nil
	}
	return nil, errMalformed
}

func (s *session) bind(req bindRequest) (code int64, text string) {
	s.service = false // whatever comes of it, the old identity is gone (RFC 4511, 4.2.1)
	dn, err := ldap.ParseDN(req.name)
	switch {
	case req.version != 3:
		return ldap.LDAPResultProtocolError, "LDAPv3 only"
	case !req.simple:
		return ldap.LDAPResultAuthMethodNotSupported, "simple bind only"
	case req.name == "" && req.password == "":
		return ldap.LDAPResultSuccess, "" // anonymous
	case req.password == "":
		return ldap.LDAPResultUnwillingToPerform, "unauthenticated bind refused" // RFC 4513, 5.1.2
	case err != nil:
		return ldap.LDAPResultInvalidCredentials, ""
	case !s.tree.authenticate(dn, req.password):
		return ldap.LDAPResultInvalidCredentials, ""
	}
	service, err := ldap.ParseDN(ServiceDN)
	s.service = err == nil && service.EqualFold(dn)
	return ldap.LDAPResultSuccess, ""
}

func (s *session) search(id int64, req searchRequest) []byte {
	done := func(code int64, text string) []byte {
		return encodeResult(id, ldap.ApplicationSearchResultDone, code, text)
	}
	if req.base == "" && req.scope == ldap.ScopeBaseObject {
		return append(encodeEntry(id, "", rootDSE()), done(ldap.LDAPResultSuccess, "")...)
	}
	if !s.service {
		return done(ldap.LDAPResultInsufficientAccessRights, "only the service account may search")
	}
	base, err := ldap.ParseDN(req.base)
	if err != nil {
		return done(ldap.LDAPResultInvalidDNSyntax, "")
	}
	entries, found := s.tree.search(base, req.scope, req.filter)
	if !found {
		return done(ldap.LDAPResultNoSuchObject, "")
	}
	code := int64(ldap.LDAPResultSuccess)
	if req.sizeLimit > 0 && int64(len(entries)) > req.sizeLimit {
		entries, code = entries[:req.sizeLimit], ldap.LDAPResultSizeLimitExceeded
	}
	var out []byte
	for _, e := range entries {
		out = append(out, encodeEntry(id, e.dn, e.selected(req.attributes))...)
	}
	return append(out, done(code, "")...)
}

// rootDSE says what the server can (RFC 4512, 5.1).
func rootDSE() []attribute {
	return []attribute{
		{"objectClass", false, []string{"top"}},
		{"namingContexts", false, []string{BaseDN}},
		{"supportedLDAPVersion", false, []string{"3"}},
		{"vendorName", false, []string{"Switchpoint demo directory"}},
	}
}
