package broker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// modeDraining is what is_alive calls a broker that an operator drains.
const modeDraining = "draining"

// Drain is an operator's word that a broker shall get no more logins: is_alive says 503, so that balancers
// send them to others. Whoever comes all the same is served, and so are running sessions: the last broker
// locks nobody out. It ends with the process.
type Drain struct {
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: until it is taken back
}

// String says who drains the broker, and why.
func (d *Drain) String() string {
	s := "drained by " + d.By
	if d.Why != "" {
		s += ": " + d.Why
	}
	if !d.Until.IsZero() {
		s += ", until " + d.Until.UTC().Format(time.DateTime) + " UTC"
	}
	return s
}

// draining is what an operator has said of this broker.
type draining struct{ word atomic.Pointer[Drain] }

// get is the word that holds, or nil.
func (d *draining) get(now time.Time) *Drain {
	w := d.word.Load()
	if w == nil || !w.Until.IsZero() && !now.Before(w.Until) {
		return nil
	}
	return w
}

// Drained is what an operator has said, or nil.
func (b *Broker) Drained() *Drain { return b.drain.get(time.Now()) }

// BeginDrain takes the word of the operator that by names, for so long; 0 is until EndDrain.
func (b *Broker) BeginDrain(ctx context.Context, lasting time.Duration, why, by string) *Drain {
	d := &Drain{By: clip(by), Why: clip(why), Since: time.Now()}
	if lasting > 0 {
		d.Until = d.Since.Add(lasting)
	}
	b.drain.word.Store(d)
	b.log.Warn("the broker drains", "by", d.By, "why", d.Why, "until", d.Until)
	b.NoteOperator(ctx, by, fmt.Sprintf("has told broker %s to drain: %s", b.o.Name, d))
	return d
}

// EndDrain takes the word back; was says whether there was one.
func (b *Broker) EndDrain(ctx context.Context, by string) (was bool) {
	was = b.Drained() != nil
	b.drain.word.Store(nil)
	if was {
		b.log.Warn("the broker drains no more", "by", by)
		b.NoteOperator(ctx, by, fmt.Sprintf("has taken broker %s back into service", b.o.Name))
	}
	return was
}
