package lb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// What an operator may do with a member.
const (
	Drain   = "drain"   // no new clients; those that are bound to it stay, until Deadline
	Disable = "disable" // nobody
	Enable  = "enable"  // takes back all of these and Weight
	Weight  = "weight"  // counts in place of the configured one; 0: no new clients
)

// AsConfigured is the weight that takes back what was said of it.
const AsConfigured = -1

// Bounds of what operators may say.
const (
	maxWords     = 2000
	maxWordText  = 500
	maxWordBytes = 1 << 20 // of all of them, as one message between nodes
	// wordGrave is how long a word that is over is kept, so that no node that missed its end
	// brings it back.
	wordGrave = 30 * 24 * time.Hour
	// maxVersion is what every reader of JSON takes as it is. maxAhead is how far a version of another
	// node may be ahead: operators do not say so much, and each one that is taken over brings the end
	// of all versions nearer.
	maxVersion = 1 << 53
	maxAhead   = 1 << 20
)

// Word is what an operator says of a member. It stands beside the member's health, never in place
// of it. A later word on the same thing (admission or weight) replaces an earlier one.
type Word struct {
	Pool   string `json:"pool"`
	Member string `json:"member"` // its address; Operate takes its name as well
	Do     string `json:"do"`
	Weight int    `json:"weight,omitempty"` // 0 to 1000, or AsConfigured
	// Owner is who said it, Reason why; both are shown wherever the member's state is.
	Owner  string    `json:"owner"`
	Reason string    `json:"reason,omitempty"`
	Set    time.Time `json:"set"`
	// Deadline is when a drained member's clients lose it, Expires when the word ends by itself.
	// Zero never comes.
	Deadline time.Time `json:"deadline,omitzero"`
	Expires  time.Time `json:"expires,omitzero"`
	// Version and Node say which of two words holds: the higher version, of the same version the
	// greater node, of the same node (it has lost its state) the one that was set later.
	Version uint64 `json:"version"`
	Node    string `json:"node,omitempty"`
}

// validate says what is wrong with w as something said at now.
func (w *Word) validate(now time.Time) error {
	switch {
	case !w.known():
		return fmt.Errorf("%q is nothing that can be done with a member; say drain, disable, enable or weight", cutWord(w.Do))
	case w.Do == Weight && (w.Weight < AsConfigured || w.Weight > maxWeight), w.Do != Weight && w.Weight != 0:
		return fmt.Errorf("%d is no weight for %s; say weight with 0 to %d, or with %d for the configured one", w.Weight, w.Do, maxWeight, AsConfigured)
	case w.Reason == "" && w.Do != Enable:
		return errors.New("a reason is missing; say why, for those who will see it")
	case !w.Deadline.IsZero() && w.Do != Drain:
		return fmt.Errorf("a deadline is for drain, not for %s; use the expiry for when it ends by itself", w.Do)
	case !w.Deadline.IsZero() && !w.Deadline.After(now):
		return fmt.Errorf("the deadline %s has already passed; say disable", w.Deadline.UTC().Format(time.DateTime))
	case !w.Expires.IsZero() && !w.Expires.After(now):
		return fmt.Errorf("the expiry %s has already passed", w.Expires.UTC().Format(time.DateTime))
	case !w.Expires.IsZero() && (w.Do == Enable || w.Do == Weight && w.Weight == AsConfigured):
		return errors.New("what takes a word back cannot expire; say it without an expiry")
	}
	return w.wellFormed()
}

// wellFormed says what no word may have, whenever it was said.
func (w *Word) wellFormed() error {
	for _, t := range []struct {
		what, text string
		must       bool
	}{{"pool", w.Pool, true}, {"member", w.Member, true}, {"owner", w.Owner, true}, {"reason", w.Reason, false}, {"node", w.Node, false}} {
		switch {
		case t.text == "" && t.must:
			return fmt.Errorf("the %s is missing", t.what)
		case len(t.text) > maxWordText:
			return fmt.Errorf("the %s has %d bytes, at most %d are possible", t.what, len(t.text), maxWordText)
		case strings.ContainsFunc(t.text, func(r rune) bool { return !unicode.IsPrint(r) }):
			return fmt.Errorf("the %s has characters that cannot be printed", t.what)
		}
	}
	if !w.known() || w.Weight < AsConfigured || w.Weight > maxWeight {
		return fmt.Errorf("%q with weight %d is no word", cutWord(w.Do), w.Weight)
	}
	if w.Version > maxVersion {
		return fmt.Errorf("version %d is more than there can be", w.Version)
	}
	return nil
}

func (w *Word) known() bool {
	return w.Do == Drain || w.Do == Disable || w.Do == Enable || w.Do == Weight
}

func cutWord(s string) string { return s[:min(len(s), 40)] }

func (w *Word) over(now time.Time) bool { return !w.Expires.IsZero() && !now.Before(w.Expires) }

// takesBack says whether w leaves nothing said.
func (w *Word) takesBack() bool {
	return w.Do == Enable || w.Do == Weight && w.Weight == AsConfigured
}

// newer says whether w replaces other.
func (w *Word) newer(other *Word) bool {
	return cmp.Or(cmp.Compare(w.Version, other.Version), strings.Compare(w.Node, other.Node), w.Set.Compare(other.Set)) > 0
}

// Said is the word as a reason.
func (w *Word) Said() string {
	s := map[string]string{Drain: "drained", Disable: "disabled", Weight: fmt.Sprintf("weight %d", w.Weight)}[w.Do] + " by " + w.Owner
	if w.Reason != "" {
		s += ": " + w.Reason
	}
	if !w.Expires.IsZero() {
		s += " (until " + w.Expires.UTC().Format(time.DateTime) + " UTC)"
	}
	return s
}

// wordKey is what a word is about.
type wordKey struct {
	pool, member string
	weight       bool
}

func (w *Word) key() wordKey { return wordKey{w.Pool, w.Member, w.Do == Weight} }

// words is all that operators have said, the last of each key. A set is replaced, never changed.
type words map[wordKey]Word

// wordSet is words as they are in force, and as other nodes get them: the same bytes for the same
// words.
type wordSet struct {
	words
	bytes []byte
}

// list gives them in order: by pool, member, and admission before weight.
func (ws words) list() []Word {
	out := slices.AppendSeq(make([]Word, 0, len(ws)), maps.Values(ws))
	slices.SortFunc(out, func(a, b Word) int {
		return cmp.Or(strings.Compare(a.Pool, b.Pool), strings.Compare(a.Member, b.Member), cmp.Compare(boolToInt(a.Do == Weight), boolToInt(b.Do == Weight)))
	})
	return out
}

// version is the highest among them.
func (ws words) version() (v uint64) {
	for _, w := range ws {
		v = max(v, w.Version)
	}
	return v
}

// with gives a set with those of more that are newer, and how many those were. What is over for
// long is left out; there is room for no more than maxWords.
func (ws words) with(more []Word, now time.Time) (words, int) {
	next, taken := make(words, len(ws)+len(more)), 0
	for k, w := range ws {
		if !w.buried(now) {
			next[k] = w
		}
	}
	for _, w := range more {
		old, known := next[w.key()]
		if w.buried(now) || known && !w.newer(&old) || !known && len(next) >= maxWords {
			continue
		}
		next[w.key()] = w
		taken++
	}
	return next, taken
}

// buried says whether nobody needs to know of w any more.
func (w *Word) buried(now time.Time) bool {
	switch {
	case w.takesBack():
		return now.Sub(w.Set) >= wordGrave
	case !w.Expires.IsZero():
		return now.Sub(w.Expires) >= wordGrave
	}
	return false
}

// turns says when the next of them ends or changes by itself, or is to be forgotten; zero: none.
func (ws words) turns(now time.Time) (next time.Time) {
	for _, w := range ws {
		grave := w.Set
		if !w.takesBack() {
			grave = w.Expires
		}
		for _, t := range []time.Time{w.Deadline, w.Expires, grave.Add(wordGrave)} {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}
