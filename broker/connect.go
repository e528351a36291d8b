package broker

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	dialTimeout   = 500 * time.Millisecond // BR3
	dialTogether  = 3                      // free desktops of a pool that are tried at once
	dialMost      = 5 * dialTogether       // free desktops of a pool that one round tries
	connectRounds = 5                      // others may take the chosen desktop first
)

// ConnectRequest asks for the desktop of an offer.
type ConnectRequest struct {
	Token      string
	Offer      string
	Key        string // Idempotency-Key, empty or valid
	ClientAddr string
	Arrived    time.Time // zero: now
}

// Connection says where the desktop is.
type Connection struct {
	Desktop  string
	Host     string
	Port     int
	Protocol string
	File     ConnectionFile
}

// Connect gives the user of the session the desktop of the offer. Its error is a *Refusal.
func (b *Broker) Connect(ctx context.Context, req ConnectRequest) (Connection, error) {
	if req.Arrived.IsZero() {
		req.Arrived = time.Now()
	}
	row := b.newRow(LogConnect, req.ClientAddr, "")
	session, code := b.session(ctx, req.Token)
	if code == "" {
		row.Who, row.Session, row.ClientName = session.Who, session.ID, session.ClientName
		var c Candidate
		if c, code = b.connect(ctx, req, session, &row); code == "" {
			b.metrics.connects.WithLabelValues("ok").Inc()
			t := b.table.Load()
			c = t.override(c, session.Grants)
			return Connection{Desktop: c.Name, Host: c.Host, Port: c.Port, Protocol: c.Protocol, File: t.connectionFile(c, session.User)}, nil
		}
	}
	b.metrics.connects.WithLabelValues(code).Inc()
	if code == CodeStarting { // the start has a row, that somebody waits for it is not worth one
		r := refusal(code, row.Ref)
		r.Text = "The desktop is being started: " + row.Reason[len(row.Reason)-1] + "."
		return Connection{}, r
	}
	if code == CodeSessionExpired { // a token that nobody holds is not worth a row
		return Connection{}, refusal(code, "")
	}
	refused := row.Refused(code)
	refused.Session = row.Session
	b.record(ctx, refused, req.Arrived)
	return Connection{}, refusal(code, row.Ref)
}

// connect looks for a desktop that answers and claims it. The dial happens outside of the
// store's transaction, so a desktop may be gone by the time of the claim: then the next round.
func (b *Broker) connect(ctx context.Context, req ConnectRequest, s Session, row *LogRow) (Candidate, string) {
	offer, err := ParseOfferID(req.Offer)
	if err != nil {
		row.Reason = append(row.Reason, err.Error())
		return Candidate{}, CodeOfferUnknown
	}
	for range connectRounds {
		var c Candidate
		if c, err = b.claim(ctx, req, s, offer, *row); err == nil {
			return c, ""
		}
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	row.Reason = append(row.Reason, err.Error())
	switch {
	case errors.Is(err, errStarting):
		row.Ref = startRef(err)
		return Candidate{}, CodeStarting
	case errors.Is(err, errStartFailed):
		return Candidate{}, CodeStartFailed
	}
	if errors.Is(err, errUnreachable) {
		return Candidate{}, CodeUnreachable
	}
	if errors.Is(err, ErrNotFound) { // of the offer or of the session?
		if code := b.ended(ctx, req.Token); code != "" {
			return Candidate{}, code
		}
	}
	return Candidate{}, refusalCode(err)
}

var errUnreachable = errors.New("no desktop answered within " + dialTimeout.String())

// claim is one round: candidates, health, claim.
func (b *Broker) claim(ctx context.Context, req ConnectRequest, s Session, offer OfferID, row LogRow) (Candidate, error) {
	list, err := b.candidates(ctx, s, offer)
	if err != nil {
		return Candidate{}, err
	}
	for i := range list {
		list[i] = b.table.Load().override(list[i], s.Grants)
	}
	chosen, ok := answering(ctx, list)
	if !ok {
		return Candidate{}, b.start(ctx, req, s, offer, row, list)
	}
	rec := ConnectRecord{Session: s, Offer: offer, Desktop: chosen.ID, Key: req.Key, KeyLife: keyLife, Log: row, Lease: b.table.Load().setup.Leases.terms(s.ClientName)}
	if chosen.Check == checkNone {
		rec.Desktop = "" // any one will do: no need to lose a race for this one
	}
	rec.Log.Duration = time.Since(req.Arrived)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.Connect(ctx, rec)
}

func (b *Broker) candidates(ctx context.Context, s Session, offer OfferID) ([]Candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.Candidates(ctx, s, offer, dialMost)
}

// answering returns the first desktop that takes a connection, trying a few at a time.
func answering(ctx context.Context, list []Candidate) (Candidate, bool) {
	for few := range slices.Chunk(list, dialTogether) {
		if c, ok := firstAnswering(ctx, few); ok {
			return c, true
		}
	}
	return Candidate{}, false
}

// firstAnswering tries all at once; those whose agent was heard of, and those that need no check, do
// answer (BR3).
func firstAnswering(ctx context.Context, list []Candidate) (Candidate, bool) {
	alive := make([]bool, len(list))
	var wg sync.WaitGroup
	for i, c := range list {
		if c.Alive || c.Check == checkNone {
			alive[i] = true
			continue
		}
		wg.Go(func() { alive[i] = dial(ctx, c) })
	}
	wg.Wait()
	for i, ok := range alive {
		if ok {
			return list[i], true
		}
	}
	return Candidate{}, false
}

// dial says whether the desktop's port takes a connection within 500 ms.
func dial(ctx context.Context, c Candidate) bool {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
