package broker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// waitingPrefix is the version of the id's form.
const waitingPrefix = "sw1"

// waitingID names a login that waits: the site id of the broker that has it, and 32 secret bytes, for
// whoever knows them is given the session. It is found by its hash, so that no comparison tells a part
// of it.
type waitingID struct {
	site   int
	secret [32]byte
}

var errWaitingID = errors.New("id of a login is not sw1.SITE.BASE64URL")

func newWaitingID(site int) waitingID {
	id := waitingID{site: site}
	rand.Read(id.secret[:]) // never fails (crypto/rand)
	return id
}

func (i waitingID) zero() bool { return i.site == 0 }

// String is the form that the client keeps: sw1.SITE.BASE64URL.
func (i waitingID) String() string {
	return waitingPrefix + "." + strconv.Itoa(i.site) + "." + base64.RawURLEncoding.EncodeToString(i.secret[:])
}

func (i waitingID) hash() [sha256.Size]byte { return sha256.Sum256([]byte(i.String())) }

// parseWaitingID reads what String writes and nothing else.
func parseWaitingID(s string) (waitingID, error) {
	if len(s) > 64 {
		return waitingID{}, errWaitingID
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != waitingPrefix {
		return waitingID{}, errWaitingID
	}
	site, err := strconv.Atoi(parts[1])
	if err != nil || site < 1 || site > maxSiteID {
		return waitingID{}, errWaitingID
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(raw) != 32 {
		return waitingID{}, errWaitingID
	}
	id := waitingID{site: site, secret: [32]byte(raw)}
	if id.String() != s {
		return waitingID{}, errWaitingID
	}
	return id, nil
}
