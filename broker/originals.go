package broker

import (
	"context"
	"sync"
	"time"
)

// originals knows who has which site id, and who does not answer.
type originals struct {
	mu     sync.Mutex
	names  map[int]string    // of the brokers that live
	silent map[int]time.Time // until when a broker is not asked again
	since  map[int]unheard   // brokers that give no answer on logins that wait
}

// unheard are the first and the last question without an answer.
type unheard struct{ first, last time.Time }

// learn takes a new list of the cluster's brokers.
func (o *originals) learn(list []NodeStatus) {
	names := make(map[int]string, len(list))
	for _, n := range list {
		if n.Live {
			names[n.SiteID] = n.Name
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = names
}

// name is that of a broker worth asking, or "".
func (o *originals) name(site int, now time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Before(o.silent[site]) {
		return ""
	}
	return o.names[site]
}

// unheard says for how long the broker with that site id has given no answer on logins that wait. What
// was asked so long ago that nobody can have waited for it since says nothing about now.
func (o *originals) unheard(site int, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = make(map[int]unheard)
	}
	s := o.since[site]
	if now.Sub(s.last) > abandonedAfter {
		s.first = now
	}
	s.last = now
	o.since[site] = s
	return now.Sub(s.first)
}

func (o *originals) heard(site int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, site)
}

// living is the name of the broker with that site id, silent or not; "": none lives.
func (o *originals) living(site int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.names[site]
}

// others are the names of the brokers that live, but for one.
func (o *originals) others(site int) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for s, name := range o.names {
		if s != site {
			out = append(out, name)
		}
	}
	return out
}

func (o *originals) silence(site int, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.silent == nil {
		o.silent = make(map[int]time.Time)
	}
	o.silent[site] = until
}

// learnOriginals brings the list of brokers up to date; one that cannot be read stays as it was.
func (b *Broker) learnOriginals(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollBound)
	defer cancel()
	if list, err := b.o.Store.Brokers(ctx); err == nil {
		b.originals.learn(list)
	}
	b.sessions.sweep(time.Now())
}
