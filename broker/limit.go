package broker

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"switchpoint/internal/problem"
)

// Limits is the [limits] table: how many failed sign-ins are too many (SE2). Only wrong passwords and
// unknown users count. What stays zero has its default.
//
// A block for one user from one address comes first: it costs whoever guesses, and nobody else. One for a
// user from everywhere needs ten times as much, and leaves out the addresses where he has signed in, so
// that nobody can lock people out of their own desks by typing their names. One for an address needs
// more failures than people who sign in from it.
type Limits struct {
	// Failures of one user from one address within Window block him there; default 10 in 15m.
	Failures int           `toml:"failures"`
	Window   time.Duration `toml:"window"`
	// UserFailures of one user from all addresses within Window block him everywhere but where he has
	// signed in before; default 100.
	UserFailures int `toml:"user_failures"`
	// SourceFailures of all users from one address within SourceWindow, less the users that signed in from
	// there in the same time, block the address; default 100 in 1m.
	SourceFailures int           `toml:"source_failures"`
	SourceWindow   time.Duration `toml:"source_window"`
	// Block is how long the first block lasts; default 15m. Each one that follows within a day lasts twice as
	// long as the one before, up to MaxBlock; default 4h.
	Block    time.Duration `toml:"block"`
	MaxBlock time.Duration `toml:"max_block"`
}

// Bounds of Limits.
const (
	maxLimitFailures = 1_000_000
	// maxLimitWindow is also how long the counts of other brokers are worth reading.
	maxLimitWindow = time.Hour
	maxLimitBlock  = 24 * time.Hour
	// blockMemory is how long a block that is over makes the next one longer.
	blockMemory = 24 * time.Hour
)

// WithDefaults returns l with every default in its place.
func (l Limits) WithDefaults() Limits {
	l.Failures = cmp.Or(l.Failures, 10)
	l.Window = cmp.Or(l.Window, 15*time.Minute)
	l.UserFailures = cmp.Or(l.UserFailures, 100)
	l.SourceFailures = cmp.Or(l.SourceFailures, 100)
	l.SourceWindow = cmp.Or(l.SourceWindow, time.Minute)
	l.Block = cmp.Or(l.Block, 15*time.Minute)
	l.MaxBlock = max(cmp.Or(l.MaxBlock, 4*time.Hour), l.Block)
	return l
}

// validate reports the problems of the [limits] table.
func (l Limits) validate(list *problem.List) {
	given := l
	l = l.WithDefaults()
	for _, n := range []struct {
		key   string
		value int
	}{{"failures", l.Failures}, {"user_failures", l.UserFailures}, {"source_failures", l.SourceFailures}} {
		if n.value < 1 || n.value > maxLimitFailures {
			list.Addf("limits."+n.key, "leave it out for the default", "%d failures is not in 1..%d", n.value, maxLimitFailures)
		}
	}
	if l.UserFailures < l.Failures {
		list.Addf("limits.user_failures", "choose ten times failures, or leave it out",
			"%d failures from everywhere are fewer than %d from one address: anybody could lock any user out", l.UserFailures, l.Failures)
	}
	checkSpan(list, "limits.window", l.Window, time.Second, maxLimitWindow)
	checkSpan(list, "limits.source_window", l.SourceWindow, time.Second, maxLimitWindow)
	checkSpan(list, "limits.block", l.Block, time.Second, maxLimitBlock)
	checkSpan(list, "limits.max_block", l.MaxBlock, time.Second, maxLimitBlock)
	if given.MaxBlock != 0 && given.MaxBlock < l.Block {
		list.Addf("limits.max_block", "write a longer one, or leave it out", "%s is shorter than the first block of %s", given.MaxBlock, l.Block)
	}
}

// LimitKind is what a block is about.
type LimitKind string

// The kinds of blocks, from the narrowest.
const (
	LimitPair   LimitKind = "user-at-address"
	LimitUser   LimitKind = "user"
	LimitSource LimitKind = "address"
	// LimitOperator is of a user whom an operator has blocked: everywhere, and whatever he fails at.
	LimitOperator LimitKind = "operator"
)

// LimitKey names what is counted: a user, an address, or both. The user is as he was typed, without
// domain and in lower case: nobody asks whether there is one, or the answer would tell. The address is that
// of an IPv4 client, or the /64 of an IPv6 one.
type LimitKey struct {
	Kind   LimitKind `json:"kind"`
	User   string    `json:"user,omitempty"`
	Source string    `json:"source,omitempty"`
}

// String reads in a table and in a log row. A name that is not one plain word is quoted: anybody types what
// he likes, and none of it shall read as what an operator has said.
func (k LimitKey) String() string {
	user := "user " + k.User
	if strings.ContainsFunc(k.User, func(r rune) bool {
		return !unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) && !strings.ContainsRune("._-'$+", r)
	}) {
		user = "user " + strconv.Quote(k.User)
	}
	switch k.Kind {
	case LimitPair:
		return user + " at " + k.Source
	case LimitUser:
		return user
	case LimitOperator:
		return user + ", by an operator"
	}
	return "address " + k.Source
}

// limit says how many failures in which time are too many for a key of that kind.
func (l Limits) limit(k LimitKind) (failures int, window time.Duration) {
	switch k {
	case LimitPair:
		return l.Failures, l.Window
	case LimitUser:
		return l.UserFailures, l.Window
	}
	return l.SourceFailures, l.SourceWindow
}

// blockFor is how long the nth block in a row lasts, from 1.
func (l Limits) blockFor(n int) time.Duration {
	d := l.Block
	for range n - 1 {
		if d *= 2; d >= l.MaxBlock {
			return l.MaxBlock
		}
	}
	return min(d, l.MaxBlock)
}

// limitUser is the form in which a typed name is counted. The domain does not count: whoever varies it
// would have as many guesses as there are spellings.
func limitUser(typed string) string {
	name := strings.TrimSpace(typed)
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	// As directories compare; letters such as the long s have the upper case of others.
	return strings.Join(strings.Fields(strings.ToLower(strings.ToUpper(name))), " ")
}

// limitSource is the form in which a client's address is counted; "" when it is none. A customer of
// IPv6 has a /64 to himself at least.
func limitSource(clientAddr string) (string, netip.Addr) {
	a, err := netip.ParseAddr(clientAddr)
	if err != nil {
		return "", netip.Addr{}
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String(), a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return "", netip.Addr{}
	}
	return p.String(), a
}

// limitKeys are what a failure of that user at that address counts against. At an exempt address, where
// many people sit behind one, the address says nothing about who it is: only the user counts.
func limitKeys(user, clientAddr string, exempt []netip.Prefix) []LimitKey {
	var keys []LimitKey
	source, address := limitSource(clientAddr)
	for _, p := range exempt {
		if p.Contains(address) {
			source = ""
			break
		}
	}
	if user != "" && source != "" {
		keys = append(keys, LimitKey{Kind: LimitPair, User: user, Source: source})
	}
	if user != "" {
		keys = append(keys, LimitKey{Kind: LimitUser, User: user})
	}
	if source != "" {
		keys = append(keys, LimitKey{Kind: LimitSource, Source: source})
	}
	return keys
}
