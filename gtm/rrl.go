package gtm

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// rateLimit is a compiled RRL. The zero value limits nothing.
type rateLimit struct {
	interval time.Duration // between two answers at the full rate; 0 is off
	slip     uint32
	exempt   []netip.Prefix
}

// verdict says what becomes of an answer to a client whose address may be forged.
type verdict uint8

const (
	verdictPass verdict = iota
	verdictSlip         // over the limit: a short answer that sends a real client to TCP or to a cookie
	verdictDrop         // over the limit: silence
)

// burst is how much of the rate may be used at once.
const burst = time.Second

// Size of the limiter's memory: some 65,000 networks at once, 1.6 MB.
const (
	limiterSets = 8192
	limiterWays = 8
)

// limiter counts UDP answers by client network: /24 of IPv4, /56 of IPv6, since an attacker
// forges addresses all over the victim's network. Its memory is fixed: where a set is full, the
// network with the least traffic is forgotten, so that a flood of forged networks does not
// push out those that are being limited.
type limiter struct {
	seed maphash.Seed // unknown outside, so that nobody can aim at one set
	sets [limiterSets]limiterSet
}

type limiterSet struct {
	mu   sync.Mutex
	ways [limiterWays]bucket
}

// bucket is the account of one network: a leaky bucket kept as the time at which it will be
// empty (the generic cell rate algorithm), so nothing has to run to drain it.
type bucket struct {
	network uint64 // 0: unused
	empty   time.Duration
	limited uint32 // answers in a row that were over the limit
}

func newLimiter() *limiter { return &limiter{seed: maphash.MakeSeed()} }

// take counts one answer at the time now, measured from any fixed moment. A nil limiter passes
// everything.
func (l *limiter) take(r rateLimit, client netip.Addr, now time.Duration) verdict {
	if l == nil || r.interval <= 0 || r.isExempt(client) {
		return verdictPass
	}
	network := networkOf(client)
	set := &l.sets[maphash.Comparable(l.seed, network)%limiterSets]
	set.mu.Lock()
	defer set.mu.Unlock()
	b := set.find(network)
	if b.empty = max(b.empty, now); b.empty+r.interval-now <= burst {
		b.empty += r.interval
		b.limited = 0
		return verdictPass
	}
	b.limited++
	if b.limited%r.slip == 0 {
		return verdictSlip
	}
	return verdictDrop
}

// find gives the bucket of a network, in place of an unused one or the one that is empty first.
func (s *limiterSet) find(network uint64) *bucket {
	least := &s.ways[0]
	for i := range s.ways {
		b := &s.ways[i]
		if b.network == network {
			return b
		}
		if b.empty < least.empty {
			least = b
		}
	}
	*least = bucket{network: network}
	return least
}

func (r rateLimit) isExempt(client netip.Addr) bool {
	for _, p := range r.exempt {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// networkOf packs the client's network into one number that is never 0.
func networkOf(client netip.Addr) uint64 {
	if client.Is4() {
		a := client.As4()
		return 1<<56 | uint64(a[0])<<16 | uint64(a[1])<<8 | uint64(a[2])
	}
	a := client.As16()
	return 2<<56 | binary.BigEndian.Uint64(a[:8])>>8
}
