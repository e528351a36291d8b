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

// wait is how long a client must wait before it may try; 0 when it may now.
func (f *failures) wait(a netip.Addr, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.by[clientOf(a)]; one.times >= maxFailures && now.Before(one.until) {
		return one.until.Sub(now)
	}
	return 0
}

// add counts a failure. When too many clients fail, the one whose window ends first is forgotten.
func (f *failures) add(a netip.Addr, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = make(map[netip.Addr]failed)
	}
	key := clientOf(a)
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
