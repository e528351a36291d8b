package lb

import (
	"context"
	"slices"
	"time"
)

// defaultWatch is how often the files of certificates are looked at.
const defaultWatch = 3 * time.Second

// certWatch notices changed files of one listener. Of a new pair that cannot be used it says so
// once, when it looks the same twice: whoever replaces two files needs a moment between them.
type certWatch struct {
	failed   map[Certificate][2]fileState // what could not be used at the last look
	reported map[Certificate][2]fileState // what was complained about
}

// look gives the set with every changed pair loaded anew, or set itself where nothing changed or
// nothing new is usable. broken are the new complaints.
func (w *certWatch) look(set *certSet) (next *certSet, broken map[Certificate]error) {
	next = set
	for i, have := range set.pairs {
		state := have.files.stateOf()
		if state == have.state {
			delete(w.failed, have.files)
			delete(w.reported, have.files)
			continue
		}
		fresh, err := loadPair(have.files)
		if err == nil {
			pairs := slices.Clone(next.pairs)
			pairs[i] = fresh
			next = newCertSet(pairs)
			delete(w.failed, have.files)
			delete(w.reported, have.files)
			continue
		}
		if last, again := w.failed[have.files]; again && last == state {
			if said, old := w.reported[have.files]; !old || said != state {
				w.reported[have.files] = state
				if broken == nil {
					broken = make(map[Certificate]error)
				}
				broken[have.files] = err
			}
		}
		w.failed[have.files] = state
	}
	return next, broken
}

// watchFiles loads changed certificates and turns the keys of session tickets until ctx ends.
func (p *Proxy) watchFiles(ctx context.Context) {
	tick := time.NewTicker(p.limits.watch)
	defer tick.Stop()
	watches := make([]certWatch, len(p.listeners))
	for i := range watches {
		watches[i] = certWatch{make(map[Certificate][2]fileState), make(map[Certificate][2]fileState)}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for i, l := range p.listeners {
				if l.secure {
					p.lookAt(l, &watches[i])
				}
			}
			p.turnAllTickets(now)
		}
	}
}

// lookAt renews a listener's certificates. A table that came meanwhile has read them itself.
func (p *Proxy) lookAt(l *listener, w *certWatch) {
	set := l.certs.Load()
	if set == nil {
		return
	}
	next, broken := w.look(set)
	for files, err := range broken {
		p.metrics.certErrors.WithLabelValues(l.name).Inc()
		p.log.Error("lb: a changed certificate cannot be used, the old one stays", "listener", l.name, "file", files.Cert, "error", err)
	}
	if next == set || !l.certs.CompareAndSwap(set, next) {
		return
	}
	for i, one := range next.pairs {
		if one.cert != set.pairs[i].cert {
			p.log.Info("lb: a changed certificate is in use", "listener", l.name, "file", one.files.Cert,
				"expires", one.cert.Leaf.NotAfter.UTC())
		}
	}
}
