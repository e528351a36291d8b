package nodes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode"

	"switchpoint/lb/stick"
)

// The methods that lb nodes call of each other.
const (
	methodEntries = "lb.entries"
	methodWords   = "lb.words"
)

// A message of entries:
//
//	version  1 byte, 1
//	flags    1 byte: 1 a telling of all begins here
//	start    8 bytes, drawn at each start of the process
//	words    8 bytes, the digest of what operators have said
//	members  a count, then of each: pool, address (each a length and so many bytes)
//	entries  a count, then of each: 16 bytes of key, number of its member, ticks that it has left
//
// Counts, lengths and numbers are unsigned varints, the rest is big-endian.
const (
	wireVersion = 1
	flagAll     = 1
	headSize    = 1 + 1 + 8 + 8

	maxMessage = 1 << 20   // bytes, as package peer has it
	fillEntry  = 960 << 10 // where a message is full
	maxMembers = 10_000
	maxName    = 300
	maxLeft    = 100 * 365 * 24 * time.Hour
)

// Member names a member on all nodes.
type Member struct{ Pool, Address string }

// header is what every message says.
type header struct {
	all   bool // a telling of all begins here
	start uint64
	words uint64
}

// answer is what the one who was told says.
type answer struct {
	Start uint64 `json:"start"`
	Again bool   `json:"again,omitempty"` // it wants to be told all
	Words uint64 `json:"words"`
}

// wireEntry is an entry as it travels.
type wireEntry struct {
	key    stick.Key
	member int // in the message
	left   uint64
}

// message is one with its entries, for a reader.
type message struct {
	header
	members []Member
	entries []wireEntry
}

// writer makes messages out of entries.
type writer struct {
	names   func(id uint32) (Member, bool)
	members []byte
	entries []byte
	numbers map[uint32]int // of members; -1: of one that has left
	named   int
	n       int
}

func newWriter(names func(uint32) (Member, bool)) *writer {
	return &writer{names: names, numbers: make(map[uint32]int)}
}

// add takes an entry in, unless it has expired or its member has left. full says that the message
// is to be sent before the next one.
func (w *writer) add(e stick.Entry, now time.Duration) (full bool) {
	left := e.Left(now)
	number, known := w.numbers[e.Member]
	if !known {
		number = -1
		if m, ok := w.names(e.Member); ok {
			number = w.named
			w.named++
			w.members = appendText(appendText(w.members, m.Pool), m.Address)
		}
		w.numbers[e.Member] = number
	}
	if left <= 0 || number < 0 {
		return false
	}
	w.entries = append(w.entries, e.Key[:]...)
	w.entries = binary.AppendUvarint(w.entries, uint64(number))          // #nosec G115 -- not negative
	w.entries = binary.AppendUvarint(w.entries, uint64(left/stick.Tick)) // #nosec G115 -- not negative
	w.n++
	return len(w.entries)+len(w.members) >= fillEntry || w.named >= maxMembers
}

// take gives the message and begins the next one.
func (w *writer) take(h header) (body []byte, entries int) {
	flags := byte(0)
	if h.all {
		flags = flagAll
	}
	body = append(make([]byte, 0, headSize+2*binary.MaxVarintLen64+len(w.members)+len(w.entries)), wireVersion, flags)
	body = binary.BigEndian.AppendUint64(body, h.start)
	body = binary.BigEndian.AppendUint64(body, h.words)
	body = append(binary.AppendUvarint(body, uint64(w.named)), w.members...) // #nosec G115 -- not negative
	body = append(binary.AppendUvarint(body, uint64(w.n)), w.entries...)     // #nosec G115 -- not negative
	entries = w.n
	w.members, w.entries, w.named, w.n = w.members[:0], w.entries[:0], 0, 0
	clear(w.numbers)
	return body, entries
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errShort = errors.New("the message breaks off")

// decode reads a message that a peer sent.
func decode(body []byte) (*message, error) {
	switch {
	case len(body) > maxMessage:
		return nil, fmt.Errorf("a message of %d bytes is too long", len(body))
	case len(body) < headSize:
		return nil, errShort
	case body[0] != wireVersion:
		return nil, fmt.Errorf("version %d of the exchange is not spoken here, only %d", body[0], wireVersion)
	}
	m := &message{header: header{
		all: body[1]&flagAll != 0, start: binary.BigEndian.Uint64(body[2:]), words: binary.BigEndian.Uint64(body[10:]),
	}}
	if m.start == 0 {
		return nil, errors.New("the message does not say of which start it is")
	}
	r := reader{b: body[headSize:]}
	m.members = r.members()
	m.entries = r.entries(len(m.members))
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes follow the message", len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// reader reads what is left of a message up to the first fault.
type reader struct {
	b   []byte
	err error
}

func (r *reader) number(most uint64, what string) uint64 {
	n, size := binary.Uvarint(r.b)
	switch {
	case r.err != nil:
		return 0
	case size <= 0:
		r.err = errShort
		return 0
	case n > most:
		r.err = fmt.Errorf("%d %s are more than the %d that are possible", n, what, most)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) name() string {
	s := string(r.bytes(int(r.number(maxName, "letters of a name")))) // #nosec G115 -- at most maxName
	if r.err == nil && !named(s) {
		r.err = errors.New("a pool or member has no name that can be shown")
	}
	return s
}

func (r *reader) members() []Member {
	n := r.number(maxMembers, "members")
	var out []Member
	for i := uint64(0); i < n && r.err == nil; i++ {
		out = append(out, Member{Pool: r.name(), Address: r.name()})
	}
	return out
}

func (r *reader) entries(members int) []wireEntry {
	const least = 16 + 1 + 1
	n := r.number(uint64(len(r.b)/least), "entries") // #nosec G115 -- not negative
	out := make([]wireEntry, 0, n)
	for i := uint64(0); i < n && r.err == nil; i++ {
		var e wireEntry
		copy(e.key[:], r.bytes(len(e.key)))
		e.member = int(r.number(maxMembers, "members")) // #nosec G115 -- at most maxMembers
		e.left = r.number(uint64(maxLeft/stick.Tick), "ticks")
		if r.err == nil && e.member >= members {
			r.err = fmt.Errorf("entry %d is of member %d of %d", i, e.member, members)
		}
		out = append(out, e)
	}
	return out
}

func named(s string) bool { return s != "" && len(s) <= maxName && legible(s) }

// legible says whether a text can be shown.
func legible(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return false
		}
	}
	return true
}
