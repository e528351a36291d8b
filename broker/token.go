package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// tokenPrefix is the version of the token's form (SE1).
const tokenPrefix = "sp1"

// Token is a session token: the site id of the broker that signed the user in (so that the
// balancer and LG2 find it) and 32 secret bytes. Only its hash is ever stored.
type Token struct {
	SiteID int
	Secret [32]byte
}

var errToken = errors.New("token is not sp1.SITE.BASE64URL")

// String is the form that the client keeps: sp1.SITE.BASE64URL.
func (t Token) String() string {
	return tokenPrefix + "." + strconv.Itoa(t.SiteID) + "." + base64.RawURLEncoding.EncodeToString(t.Secret[:])
}

// ParseToken reads what String writes and nothing else.
func ParseToken(s string) (Token, error) {
	if len(s) > 64 {
		return Token{}, errToken
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != tokenPrefix {
		return Token{}, errToken
	}
	site, err := strconv.Atoi(parts[1])
	if err != nil || site < 1 || site > maxSiteID {
		return Token{}, errToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(raw) != 32 {
		return Token{}, errToken
	}
	t := Token{SiteID: site, Secret: [32]byte(raw)}
	if t.String() != s {
		return Token{}, errToken
	}
	return t, nil
}

// Hash is what the store keeps: SHA-256 over the whole text, so that the site id cannot be
// exchanged.
func (t Token) Hash() [32]byte { return sha256.Sum256([]byte(t.String())) }

func newToken(siteID int) Token {
	t := Token{SiteID: siteID}
	rand.Read(t.Secret[:]) // never fails (crypto/rand)
	return t
}

// keyedToken derives the token of a login that came with an Idempotency-Key (LG4): any broker
// of the cluster gets the same bytes for the same session, key and password. Neither key nor
// password is stored, so that a copy of the database (the cluster's secret is in it) reveals no
// token, and no password to who tries likely ones.
func keyedToken(secret [32]byte, siteID int, sessionID, key, password string) Token {
	return Token{SiteID: siteID, Secret: keyed(secret, "session-token", sessionID, key, password)}
}

// keyID stands in the store in place of the Idempotency-Key of a login.
func keyID(secret [32]byte, key string) string {
	id := keyed(secret, "login-key-id", key)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// keyMAC binds an Idempotency-Key to who signs in and with which password (LG4).
func keyMAC(secret [32]byte, who Who, password, key string) [32]byte {
	return keyed(secret, "login-key", who.Directory, who.User, password, key)
}

// keyed is HMAC-SHA256 over the parts, each with its length before it, so that no two lists of
// parts look alike.
func keyed(secret [32]byte, parts ...string) [32]byte {
	h := hmac.New(sha256.New, secret[:])
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write([]byte(p))
	}
	return [32]byte(h.Sum(nil))
}

// maxKey bounds an Idempotency-Key.
const maxKey = 200

// ValidKey says whether s may be an Idempotency-Key: 1 to 200 printable ASCII characters.
func ValidKey(s string) bool {
	return len(s) >= 1 && len(s) <= maxKey && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
