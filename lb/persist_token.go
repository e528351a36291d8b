package lb

import (
	"bytes"
	"crypto/sha256"

	"switchpoint/lb/stick"
)

// A broker's session token as it travels (package broker, token.go): "sp1.SITE.BASE64URL" in
// Authorization: Bearer, or in the cookie of the sign-in pages.
const (
	tokenPrefix   = "sp1."
	maxToken      = 64
	sessionCookie = "__Host-session"
	// tokenDomain keeps the key from being what the broker's store keeps of the same token. It is
	// short, so that both fit one block of SHA-256.
	tokenDomain = "lb "
)

// findToken looks for a session token. What is kept of it is a part of its hash.
func (v *visitor) findToken(mix stick.Key) bool {
	var token, cookie []byte
	eachChecked(v.fields, func(f field) {
		switch {
		case is(f.name, "authorization"):
			if scheme, rest, ok := cutByte(f.value, ' '); ok && is(scheme, "bearer") && token == nil {
				token = trimOWS(rest)
			}
		case is(f.name, "cookie") && cookie == nil:
			cookie = cookieOf(f.value, sessionCookie)
		}
	})
	if token == nil {
		token = cookie
	}
	if len(token) > maxToken || !bytes.HasPrefix(token, []byte(tokenPrefix)) || bytes.Count(token, []byte{'.'}) != 2 {
		return false
	}
	var text [len(tokenDomain) + maxToken]byte
	sum := sha256.Sum256(append(append(text[:0], tokenDomain...), token...))
	v.token = stick.Key(sum[:16])
	for i := range v.token {
		v.token[i] ^= mix[i]
	}
	return true
}

// cookieOf finds a cookie in the value of a Cookie field (RFC 6265 4.2.1); nil without.
func cookieOf(value []byte, name string) []byte {
	for more := true; more; {
		var pair []byte
		pair, value, more = cutByte(value, ';')
		if v, ok := cookieValue(pair, name); ok {
			return v
		}
	}
	return nil
}

// cookieValue gives the value of a pair if that is its name. Servers differ in whether blanks
// around a name count, so they do not.
func cookieValue(pair []byte, name string) ([]byte, bool) {
	n, v, ok := cutByte(pair, '=')
	return trimOWS(v), ok && string(trimOWS(n)) == name
}
