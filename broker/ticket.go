package broker

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a ticket. Its life is short because whoever holds it is the user.
const (
	ticketPrefix = "st1"
	ticketLife   = 60 * time.Second // RD8
	ticketSkew   = 5 * time.Second  // by which the clocks of the issuer's own brokers may differ
	maxTicket    = 2048             // bytes of its text
	maxVisited   = 8                // clusters that a login may have come through
	maxTicketVal = 300              // bytes of each name in it
)

// Ticket says that a cluster has checked who a user is, and that another one may sign him in without a
// password: once, and within a minute (RD8).
type Ticket struct {
	Issuer    string   `json:"iss"` // cluster
	Audience  string   `json:"aud"` // cluster
	Directory string   `json:"dir"` // both clusters know it by this name
	Entry     string   `json:"sub"` // entryUUID or objectGUID of the user in the directory
	User      string   `json:"usr"` // his name there, for people to read: Entry decides
	ID        string   `json:"jti"` // 16 random bytes in base64: a ticket is taken once
	Issued    int64    `json:"iat"` // milliseconds since 1970, by the issuer's clock
	Expires   int64    `json:"exp"`
	Visited   []string `json:"vis"` // clusters that have redirected this login, the issuer last
}

// newTicketID makes the ID of a ticket.
func newTicketID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// sign gives the text that the client carries: st1.BASE64URL(payload).BASE64URL(signature). The
// signature is of all that stands before the second point, so the version is signed too.
func (t Ticket) sign(key ed25519.PrivateKey) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	payload, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	signed := ticketPrefix + "." + base64.RawURLEncoding.EncodeToString(payload)
	text := signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
	if len(text) > maxTicket {
		return "", errTicketSize
	}
	return text, nil
}

// Why a ticket is refused.
var (
	errTicketSize      = fmt.Errorf("the ticket would be longer than %d bytes", maxTicket)
	errTicketForm      = errors.New("the text is no ticket: " + ticketPrefix + ".PAYLOAD.SIGNATURE is one")
	errTicketPayload   = errors.New("the ticket's payload cannot be read")
	errTicketSignature = errors.New("the ticket's signature is not the issuer's")
	errTicketExpired   = errors.New("the ticket has expired")
	errTicketEarly     = errors.New("the ticket was issued in the future, by the issuer's own clock")
)

// unverifiedTicket is a ticket as a client sent it: nothing in it is true until verify has said so.
type unverifiedTicket struct {
	claims    Ticket
	signed    string
	signature []byte
}

// parseTicket reads the form of a ticket, and nothing but the one form in which sign writes it.
func parseTicket(text string) (unverifiedTicket, error) {
	var u unverifiedTicket
	if len(text) > maxTicket {
		return u, errTicketForm
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0] != ticketPrefix {
		return u, errTicketForm
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return u, errTicketForm
	}
	if u.signature, err = base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil || len(u.signature) != ed25519.SignatureSize {
		return u, errTicketForm
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&u.claims); err != nil || d.InputOffset() != int64(len(payload)) {
		return unverifiedTicket{}, errTicketPayload
	}
	if err := u.claims.check(); err != nil {
		return unverifiedTicket{}, err
	}
	u.signed = parts[0] + "." + parts[1]
	return u, nil
}

// check refuses claims that no cluster of this version makes.
func (t Ticket) check() error {
	for _, c := range []struct{ name, value string }{
		{"issuer", t.Issuer}, {"audience", t.Audience}, {"directory", t.Directory}, {"entry", t.Entry}, {"user", t.User},
	} {
		if c.value == "" || len(c.value) > maxTicketVal || !utf8.ValidString(c.value) || strings.ContainsFunc(c.value, unicode.IsControl) {
			return fmt.Errorf("the ticket names no usable %s", c.name)
		}
	}
	life := t.Expires - t.Issued
	switch id, err := base64.RawURLEncoding.Strict().DecodeString(t.ID); {
	case err != nil || len(id) != 16:
		return errors.New("the ticket has no usable id")
	case t.Issued < 0 || life <= 0 || life > ticketLife.Milliseconds():
		return fmt.Errorf("the ticket does not live for %s at most", ticketLife)
	case len(t.Visited) == 0 || len(t.Visited) > maxVisited:
		return fmt.Errorf("the ticket comes from %d clusters: between 1 and %d are possible", len(t.Visited), maxVisited)
	case t.Visited[len(t.Visited)-1] != t.Issuer:
		return errors.New("the ticket does not say that it comes from its issuer")
	}
	return nil
}

// verify says why a ticket is not good for the cluster own at the moment now of its issuer's clock.
func (u unverifiedTicket) verify(own string, key ed25519.PublicKey, now time.Time) (Ticket, error) {
	t := u.claims
	switch ms := now.UnixMilli(); {
	case len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(u.signed), u.signature):
		return Ticket{}, errTicketSignature
	case t.Audience != own:
		return Ticket{}, fmt.Errorf("the ticket is for cluster %s, not for %s", t.Audience, own)
	case ms >= t.Expires:
		return Ticket{}, errTicketExpired
	case ms < t.Issued-ticketSkew.Milliseconds():
		return Ticket{}, errTicketEarly
	case slices.Contains(t.Visited, own):
		return Ticket{}, fmt.Errorf("a loop: the login has already been to cluster %s", own)
	}
	return t, nil
}

// used is what the database remembers of a ticket that was taken.
func (t Ticket) used() string { return t.Issuer + "/" + t.ID }
