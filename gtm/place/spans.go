package place

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// key is an address as a number, so that neighbours can be compared.
type key struct{ hi, lo uint64 }

// The families of addresses, each with a number space of its own.
const (
	ipv4 = iota
	ipv6
	families
)

// width is how many bits an address of a family has.
func width(family int) int {
	if family == ipv4 {
		return 32
	}
	return 128
}

func keyOf(a netip.Addr) (family int, k key) {
	if a.Is4() {
		b := a.As4()
		return ipv4, key{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return ipv6, key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) less(o key) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

// next is the address after k; ok is false after the last one.
func (k key) next(family int) (n key, ok bool) {
	n = key{k.hi, k.lo + 1}
	if n.lo == 0 {
		n.hi++
	}
	if family == ipv4 {
		return n, n.lo < 1<<32
	}
	return n, n != key{}
}

// set gives k with the bit-th bit from the left set.
func (k key) set(family, bit int) key {
	if i := width(family) - 1 - bit; i < 64 {
		k.lo |= 1 << i
	} else {
		k.hi |= 1 << (i - 64)
	}
	return k
}

// last is the last address of a network.
func (k key) last(family, length int) key {
	host := width(family) - length
	switch {
	case host == 128:
		return key{^uint64(0), ^uint64(0)}
	case host >= 64:
		return key{k.hi | (1<<(host-64) - 1), ^uint64(0)}
	}
	return key{k.hi, k.lo | (1<<host - 1)}
}

// common is how many bits from the left are the same.
func (k key) common(family int, o key) int {
	n := bits.LeadingZeros64(k.hi ^ o.hi)
	if n == 64 {
		n += bits.LeadingZeros64(k.lo ^ o.lo)
	}
	return n - (128 - width(family))
}

// none is the value of addresses that nothing is said of.
const none int32 = -1

// spans gives every address of a family a value: that of the last start at or before it.
// Neighbours have different values.
type spans struct {
	starts []key // ascending, the first is zero
	values []int32
	jump   []int32 // of many: the span that holds the first address of each block of 16 bits
}

// add lets a value begin at an address after all others.
func (s *spans) add(start key, value int32) {
	if n := len(s.values); n > 0 && s.values[n-1] == value {
		return
	}
	s.starts = append(s.starts, start)
	s.values = append(s.values, value)
}

// top is the first 16 bits of an address.
func (k key) top(family int) int {
	if family == ipv4 {
		return int(k.lo >> 16)
	}
	return int(k.hi >> 48)
}

// fewSpans need no table to jump into.
const fewSpans = 1024

// ready prepares many spans for find.
func (s *spans) ready(family int) {
	if len(s.starts) < fewSpans {
		return
	}
	s.jump = make([]int32, 1<<16)
	at := 0
	for block := range s.jump {
		for at+1 < len(s.starts) && s.starts[at+1].atTop(family, block) {
			at++
		}
		s.jump[block] = int32(at)
	}
}

// atTop says whether k is at or before the first address of a block of 16 bits.
func (k key) atTop(family, block int) bool {
	if top := k.top(family); top != block {
		return top < block
	}
	if family == ipv4 {
		return k.lo&0xffff == 0
	}
	return k.hi&(1<<48-1) == 0 && k.lo == 0
}

// find is the index of the span of an address.
func (s *spans) find(family int, k key) int {
	low, high := 0, len(s.starts) // starts[low] <= k, and k < starts[high]
	if s.jump != nil {
		block := k.top(family)
		low = int(s.jump[block])
		if block+1 < len(s.jump) {
			high = int(s.jump[block+1]) + 1
		}
	}
	for high-low > 1 {
		if mid := int(uint(low+high) / 2); k.less(s.starts[mid]) {
			high = mid
		} else {
			low = mid
		}
	}
	return low
}

// block is the length of the largest network around k that lies within the i-th span.
func (s *spans) block(family, i int, k key) int {
	length := 0
	if i > 0 {
		length = k.common(family, before(s.starts[i])) + 1
	}
	if i+1 < len(s.starts) {
		length = max(length, k.common(family, s.starts[i+1])+1)
	}
	return length
}

func before(k key) key {
	if k.lo == 0 {
		k.hi--
	}
	k.lo--
	return k
}

// join makes the spans of what f says of two values at each address.
func join(a, b spans, f func(a, b int32) int32) spans {
	var out spans
	for i, j := 0, 0; i < len(a.starts) && j < len(b.starts); {
		start := a.starts[i]
		if start.less(b.starts[j]) {
			start = b.starts[j]
		}
		out.add(start, f(a.values[i], b.values[j]))
		switch { // the one that ends first goes on
		case i+1 == len(a.starts):
			j++
		case j+1 == len(b.starts) || a.starts[i+1].less(b.starts[j+1]):
			i++
		case a.starts[i+1] == b.starts[j+1]:
			i++
			j++
		default:
			j++
		}
	}
	return out
}

// sweep makes the spans of nested prefixes: at each address the index of the longest one, or
// none. The entries are of one family, sorted by netip.Prefix.Compare and each prefix there once.
func sweep(family int, entries []entry) spans {
	most := 2*len(entries) + 1 // each begins a span and ends one
	s := spans{starts: make([]key, 0, most), values: make([]int32, 0, most)}
	var open []int32 // prefixes around the present address, the longest last
	var ends []key   // their last addresses
	s.add(key{}, none)
	closeTop := func() {
		end := ends[len(ends)-1]
		open, ends = open[:len(open)-1], ends[:len(ends)-1]
		around := none
		if len(open) > 0 {
			around = open[len(open)-1]
		}
		if after, ok := end.next(family); ok {
			s.put(after, around)
		}
	}
	for i, e := range entries {
		_, start := keyOf(e.prefix.Addr())
		for len(ends) > 0 && ends[len(ends)-1].less(start) {
			closeTop()
		}
		open = append(open, int32(i))
		ends = append(ends, start.last(family, e.prefix.Bits()))
		s.put(start, int32(i))
	}
	for len(ends) > 0 {
		closeTop()
	}
	return s
}

// put is add that lets the last span go where it would be empty.
func (s *spans) put(start key, value int32) {
	if n := len(s.starts); n > 0 && s.starts[n-1] == start {
		s.starts, s.values = s.starts[:n-1], s.values[:n-1]
	}
	s.add(start, value)
}
