package healthcheck

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// New checks wait at most firstSpread for their first probe, or firstEach for each of the table if
// that is more: a backlog of first probes would take minutes to catch up beside the regular ones.
const (
	firstSpread = time.Second
	firstEach   = 50 * time.Microsecond
)

func spreadOf(checks int) time.Duration {
	return max(firstSpread, time.Duration(checks)*firstEach)
}

// jitterShare: a probe starts up to interval/20 after its phase, so that several probers of one
// target drift apart.
const jitterShare = 20

// hash spreads the checks; the same key has the same hash in every process and after a reload.
func (k Key) hash() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k.Address)) // a hash never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(k.Monitor))
	x := h.Sum64()
	// FNV's low bits move little for keys that differ in their last digit: finish as murmur does.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// firstDue is when a new check is probed first: promptly, but new ones not all at once.
func firstDue(now time.Duration, hash uint64, interval, spread time.Duration) time.Duration {
	return now + time.Duration(hash%uint64(min(interval, spread)))
}

// nextBase is the first moment after both now and last at which a check of this hash has its
// turn: all moments t with t = hash (mod interval). Turns that were missed are left out, not
// made up for.
func nextBase(now, last time.Duration, hash uint64, interval time.Duration) time.Duration {
	phase := time.Duration(hash % uint64(interval))
	after := max(now, last)
	turns := int64((after - phase) / interval)
	if after < phase {
		return phase
	}
	return phase + time.Duration(turns+1)*interval
}

func jitter(interval time.Duration) time.Duration {
	return rand.N(max(interval/jitterShare, 1))
}
