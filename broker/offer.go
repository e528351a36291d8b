package broker

import (
	"errors"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Kinds of desktop pools.
const (
	KindAssigned = "assigned"
	KindPooled   = "pooled"
)

// States of an offer.
const (
	OfferAvailable   = "available"
	OfferRunning     = "running"     // the user holds this pooled desktop already
	OfferUnavailable = "unavailable" // no desktop of the pool is free now
	OfferMaintenance = "maintenance"
)

// Offer is one desktop that a user may connect to.
type Offer struct {
	ID       OfferID
	Name     string // of the desktop; of the pool while no desktop is claimed
	Pool     string
	Kind     string
	Protocol string
	State    string
}

// OfferQuery asks for the offers of a user under the grants of his policy.
type OfferQuery struct {
	Who
	Grants []Grant
	Log    *LogRow // written with it (BR4); nil: none
}

// OfferID names what Connect is asked for: one desktop of the user's own, or the nth desktop
// out of a pool. Its text form is opaque to clients.
type OfferID struct {
	Desktop string // UUID of an assigned desktop, or
	Pool    string // UUID of a pool and
	Slot    int    // 1..MaxOffers
}

// maxSlot bounds MaxOffers and so the slot of an offer id.
const maxSlot = 64

var errOfferID = errors.New("offer id is neither d:UUID nor p:UUID:N")

// String is the wire form.
func (o OfferID) String() string {
	if o.Desktop != "" {
		return "d:" + o.Desktop
	}
	return "p:" + o.Pool + ":" + strconv.Itoa(o.Slot)
}

// ParseOfferID reads the wire form. It accepts only what String writes.
func ParseOfferID(s string) (OfferID, error) {
	kind, rest, _ := strings.Cut(s, ":")
	var o OfferID
	switch kind {
	case "d":
		o.Desktop = rest
	case "p":
		pool, slot, ok := strings.Cut(rest, ":")
		n, err := strconv.Atoi(slot)
		if !ok || err != nil || n < 1 || n > maxSlot {
			return OfferID{}, errOfferID
		}
		o.Pool, o.Slot = pool, n
	default:
		return OfferID{}, errOfferID
	}
	id, err := uuid.Parse(o.Desktop + o.Pool)
	if err != nil || id.String() != o.Desktop+o.Pool || o.String() != s {
		return OfferID{}, errOfferID
	}
	return o, nil
}

// Candidate is a desktop that an offer leads to, with all that a client needs to reach it.
type Candidate struct {
	ID       string // UUID
	Name     string
	Pool     string // which is offered; a desktop of its backup pool has the same
	Kind     string
	Host     string
	Port     int
	Protocol string
	// Check is the pool's: "dial" or "none".
	Check string
	// Claimed: the user holds it already.
	Claimed bool
	// Alive: its agent was heard of within AgentFresh. Candidates says so, Connect does not.
	Alive bool
}
