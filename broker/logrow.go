package broker

import (
	"crypto/rand"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Kinds of log rows.
const (
	LogLogin    = "login"
	LogOffers   = "offers" // the list asked for again
	LogRedirect = "redirect"
	LogRefused  = "refused"
	LogConnect  = "connect"
	LogLogout   = "logout"
	LogSetup    = "setup"
	LogCluster  = "cluster" // an operator's act on a broker or a job
	LogAgent    = "agent"   // enrolment, reset and quarantine of a desktop
	LogPower    = "power"   // start of a desktop
)

// LogRow is one line of the broker's log (BR4): who did what from where, through which broker,
// how long it took and why it ended so. It never holds a password or a token.
type LogRow struct {
	ID   string // UUIDv7
	Ref  string // short reference that a user can read out
	Kind string
	Code string // of a refusal
	Who
	ClientAddr string
	ClientName string
	SiteID     int
	Session    string
	Desktop    string        // name
	Duration   time.Duration // from arrival to the write of this row
	// Reason is the decision in words, one step a line.
	Reason []string
	At     time.Time // set by the database
}

// Refused turns the row of a login into that of its refusal.
func (l LogRow) Refused(code string) LogRow {
	l.Kind, l.Code, l.Session = LogRefused, code, ""
	return l
}

// newID returns a fresh row id. It fails only when the system has no randomness, which
// crypto/rand turns into a crash before uuid could report it.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// refAlphabet is Crockford's base 32: no letter that is read out wrongly.
const refAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newRef returns a reference such as "12-7Q4MZ0K3XA": the site id, then 50 random bits.
func newRef(siteID int) string {
	var b [10]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	for i, c := range b {
		b[i] = refAlphabet[c&31]
	}
	return strconv.Itoa(siteID) + "-" + string(b[:])
}
