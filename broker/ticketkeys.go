package broker

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ticketAskDeadline = time.Second      // for the key of another cluster
	ticketAskEvery    = 2 * time.Second  // at most, of one cluster: who sends forged tickets must not make it more
	ticketKeyFresh    = 10 * time.Minute // then it is asked for again: clocks drift
)

// TicketKey is what a cluster tells its trusted peers about its tickets.
type TicketKey struct {
	Cluster string    `json:"cluster"`
	Key     []byte    `json:"key"` // Ed25519 public key
	Now     time.Time `json:"now"` // by the clock of the broker that answers
}

// AnswerTicketKey tells another cluster how to check the tickets of this one.
func (b *Broker) AnswerTicketKey() TicketKey {
	return TicketKey{Cluster: b.cfg.Cluster, Key: b.ticketKey().Public().(ed25519.PublicKey), Now: time.Now()}
}

// ticketKey signs the tickets of this cluster; all of its brokers have the same one.
func (b *Broker) ticketKey() ed25519.PrivateKey {
	seed := b.member.Load().Cluster.TicketKey
	return ed25519.NewKeyFromSeed(seed[:])
}

// issuerFacts is what is known about the tickets of another cluster. It never changes.
type issuerFacts struct {
	key    ed25519.PublicKey
	ahead  time.Duration // of its clock before ours
	learnt time.Time
}

// issuer is another cluster whose tickets have come here.
type issuer struct {
	known  atomic.Pointer[issuerFacts]
	asking chan struct{} // who holds its one place may ask, and use what follows
	asked  time.Time
	failed error // of the newest question
}

func newIssuer() *issuer { return &issuer{asking: make(chan struct{}, 1)} }

// issuers remembers the trusted clusters that tickets have come from.
type issuers struct {
	mu        sync.Mutex
	byCluster map[string]*issuer
}

func (i *issuers) of(cluster string) *issuer {
	i.mu.Lock()
	defer i.mu.Unlock()
	one := i.byCluster[cluster]
	if one == nil {
		if i.byCluster == nil {
			i.byCluster = make(map[string]*issuer)
		}
		one = newIssuer()
		i.byCluster[cluster] = one
	}
	return one
}

// facts gives what is known of the issuer, or asks. unfit are facts that did not fit a ticket: what was
// learnt after them is wanted, if it may be asked for already.
func (i *issuer) facts(now time.Time, unfit *issuerFacts, ask func() (TicketKey, error)) (*issuerFacts, error) {
	good := func(f *issuerFacts) bool { return f != nil && f != unfit && now.Sub(f.learnt) < ticketKeyFresh }
	if f := i.known.Load(); good(f) {
		return f, nil
	}
	i.asking <- struct{}{}
	defer func() { <-i.asking }()
	f := i.known.Load()
	if good(f) {
		return f, nil
	}
	if i.asked.IsZero() || now.Sub(i.asked) >= ticketAskEvery {
		i.asked = now
		began := time.Now()
		var told TicketKey
		if told, i.failed = ask(); i.failed == nil {
			took := time.Since(began)
			f = &issuerFacts{key: told.Key, ahead: told.Now.Sub(began.Add(took / 2)), learnt: now}
			i.known.Store(f)
		}
	}
	if f == nil {
		return nil, i.failed
	}
	return f, nil // an old key is better than none
}

// verifyTicket checks a ticket with the key of its issuer, which is asked for where that is needed. It
// asks no cluster that is not trusted: the name comes from the client.
func (b *Broker) verifyTicket(ctx context.Context, u unverifiedTicket) (Ticket, error) {
	name := u.claims.Issuer
	switch {
	case name == b.cfg.Cluster:
		return Ticket{}, fmt.Errorf("a loop: the ticket is of this cluster itself")
	case !b.trusts(name) || b.o.AskTicketKey == nil:
		return Ticket{}, fmt.Errorf("no [[peer.trust]] names the cluster %s that issued the ticket", clip(name))
	}
	ask := func() (TicketKey, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ticketAskDeadline) // others wait for it too
		defer cancel()
		told, err := b.o.AskTicketKey(ctx, name)
		if err == nil && (told.Cluster != name || len(told.Key) != ed25519.PublicKeySize) {
			err = fmt.Errorf("the answer is of cluster %q, with a key of %d bytes", clip(told.Cluster), len(told.Key))
		}
		if err != nil {
			b.log.Warn("a cluster does not tell the key of its tickets", "cluster", name, "error", err)
		}
		return told, err
	}
	one := b.issuers.of(name)
	f, err := one.facts(time.Now(), nil, ask)
	if err != nil {
		return Ticket{}, fmt.Errorf("cluster %s does not tell the key of its tickets: %w", name, err)
	}
	t, err := u.verify(b.cfg.Cluster, f.key, time.Now().Add(f.ahead))
	if !errors.Is(err, errTicketSignature) && !errors.Is(err, errTicketExpired) && !errors.Is(err, errTicketEarly) {
		return t, err
	}
	again, failed := one.facts(time.Now(), f, ask) // a new key there, or a clock that was set
	if failed != nil || again == f {
		return Ticket{}, err
	}
	return u.verify(b.cfg.Cluster, again.key, time.Now().Add(again.ahead))
}

// trusts says whether brokers of the cluster are trusted peers of this process.
func (b *Broker) trusts(cluster string) bool { return b.o.Trusts != nil && b.o.Trusts(cluster) }
