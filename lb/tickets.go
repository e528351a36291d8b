package lb

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

const (
	// ticketEpoch is how long new tickets are made with one key. crypto/tls turns keys once a day
	// by itself, but each node has its own then.
	ticketEpoch = 12 * time.Hour
	// minTicketSecret is what a secret must have at least, in bytes: tickets hold the keys of
	// sessions, so guessing it opens all that was said.
	minTicketSecret = 32
)

// readTicketSecret follows a reference; empty gives none.
func readTicketSecret(ref string) ([]byte, error) {
	if ref == "" {
		return nil, nil
	}
	s, err := secret.Read(ref)
	if err != nil {
		return nil, problem.Problem{Path: "ticket_secret", What: err.Error(), Cure: secret.Cure}
	}
	if len(s) < minTicketSecret {
		return nil, problem.Problem{Path: "ticket_secret", What: fmt.Sprintf("the secret has %d bytes", len(s)),
			Cure: fmt.Sprintf("give it at least %d random ones, for example from `openssl rand -hex 32`", minTicketSecret)}
	}
	return []byte(s), nil
}

// ticketKeys gives the keys in force in an epoch: the one that makes tickets first, then that of the
// epoch before, and that of the next one, which a node with a clock ahead may use already.
func ticketKeys(from []byte, epoch int64) ([][32]byte, error) {
	var keys [][32]byte
	for _, e := range []int64{epoch, epoch - 1, epoch + 1} {
		info := binary.BigEndian.AppendUint64([]byte("switchpoint lb session tickets "), uint64(e)) // #nosec G115 -- a time
		b, err := hkdf.Key(sha256.New, from, nil, string(info), 32)
		if err != nil {
			return nil, fmt.Errorf("lb: derive a key for session tickets: %w", err)
		}
		keys = append(keys, [32]byte(b))
	}
	return keys, nil
}

// turnTickets gives a listener the keys of now that follow from secret. Without one, crypto/tls
// makes keys and turns them; it does so in a fresh tls.Config only. p.mu is held.
func (p *Proxy) turnTickets(l *listener, secret []byte, now time.Time, changed bool) {
	if len(secret) == 0 {
		if l.ticketEpoch != 0 {
			l.ticketEpoch = 0
			l.tls.Store(l.newTLS())
		}
		return
	}
	epoch := now.Unix() / int64(ticketEpoch/time.Second)
	if !changed && epoch == l.ticketEpoch {
		return
	}
	keys, err := ticketKeys(secret, epoch)
	if err != nil {
		p.log.Error("lb: session tickets keep their old keys", "listener", l.name, "error", err)
		return
	}
	l.ticketEpoch = epoch
	l.tls.Load().SetSessionTicketKeys(keys)
}

// turnAllTickets does so for every listener.
func (p *Proxy) turnAllTickets(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := p.live.Load()
	for i, l := range p.listeners {
		if l.secure && live != nil {
			p.turnTickets(l, live.listeners[i].tickets, now, false)
		}
	}
}
