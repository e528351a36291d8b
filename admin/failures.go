package admin

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures   = 5 // refused sign-ins of one client
	failureWindow = time.Minute
	maxClients    = 1024 // that failed within the window and are remembered
	clientBits6   = 64   // of an IPv6 address: one client has all below it
)

// failures counts the refused sign-ins of each client. Right ones are never counted, and other
// clients are not held up.
type failures struct {
	mu sync.Mutex
	by map[netip.Addr]failed
}

// failed is how often a client failed within the window that began with the first failure.
type failed struct {
	times int
	until time.Time
}

// clientOf is what is counted as one.
func clientOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(clientBits6); err == nil {
			return p.Addr()
		}
	}
	return a
}

// try lets a client try once: ok is what right says. When the client must wait, right is not asked.
// All of it is one step, so that a client gains nothing by trying many times at once.
func (f *failures) try(a netip.Addr, now time.Time, right func() bool) (ok bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.by[clientOf(a)]; one.times >= maxFailures && now.Before(one.until) {
		return false, one.until.Sub(now)
	}
	if right() {
		return true, 0
	}
	f.add(clientOf(a), now)
	return false, 0
}

// add counts a failure. When too many clients fail, the one whose window ends first is forgotten.
func (f *failures) add(key netip.Addr, now time.Time) {
	if f.by == nil {
		f.by = make(map[netip.Addr]failed)
	}
	one, known := f.by[key]
	if !now.Before(one.until) {
		one = failed{until: now.Add(failureWindow)}
	}
	if !known && len(f.by) >= maxClients {
		f.forget(now)
	}
	one.times++
	f.by[key] = one
}

func (f *failures) forget(now time.Time) {
	var first netip.Addr
	for key, one := range f.by {
		if !now.Before(one.until) {
			delete(f.by, key)
		} else if o, ok := f.by[first]; !ok || one.until.Before(o.until) {
			first = key
		}
	}
	if len(f.by) >= maxClients {
		delete(f.by, first)
	}
}
