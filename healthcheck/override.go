package healthcheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Bounds of what operators may say.
const (
	maxOverrides    = 1000
	maxOverrideText = 500
)

// Override is an operator's word on the state of checks. It stands beside what is measured and
// judged, never in place of it: releasing it shows at once what holds without it.
type Override struct {
	// Pattern is a glob (* and ?) over "address/monitor", or over addresses when it has no
	// slash: "10.0.0.1:443", "10.0.0.*/is_alive", "*/ldap".
	Pattern string `json:"pattern"`
	// State is up, overloaded, down, draining or maintenance.
	State State `json:"state"`
	// Owner is who said it, Reason why; both are shown wherever the state is.
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
	// Set is when it was said, Expires when it ends by itself; zero never does.
	Set     time.Time `json:"set"`
	Expires time.Time `json:"expires,omitzero"`
}

// validate says what is wrong with o as something said at now.
func (o Override) validate(now time.Time) error {
	switch {
	case o.Pattern == "" || len(o.Pattern) > maxOverrideText || !printable(o.Pattern):
		return fmt.Errorf(`%q is no pattern; write "ADDRESS/MONITOR" or "ADDRESS", with * and ?`, cut(o.Pattern))
	case o.State == Unknown || o.State > Maintenance:
		return errors.New("an override cannot say unknown; say up, overloaded, down, draining or maintenance")
	case o.Owner == "" || len(o.Owner) > maxOverrideText || !printable(o.Owner):
		return errors.New("an override needs an owner, in printable letters")
	case len(o.Reason) > maxOverrideText || !printable(o.Reason):
		return fmt.Errorf("the reason must be printable and have at most %d bytes", maxOverrideText)
	case !o.Expires.IsZero() && !o.Expires.After(now):
		return fmt.Errorf("the expiry %s has already passed", o.Expires.UTC().Format(time.DateTime))
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// said is the override as a reason.
func (o *Override) said() string {
	s := "forced " + o.State.String() + " by " + o.Owner
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	if !o.Expires.IsZero() {
		s += " (until " + o.Expires.UTC().Format(time.DateTime) + " UTC)"
	}
	return s
}

func (o *Override) over(now time.Time) bool { return !o.Expires.IsZero() && !now.Before(o.Expires) }

// matches says whether a pattern covers k.
func matches(pattern string, k Key) bool {
	address, monitor, both := strings.Cut(pattern, "/")
	return glob(address, k.Address) && (!both || glob(monitor, k.Monitor))
}

func glob(pattern, s string) bool {
	return Glob(pattern, s, func(a, b byte) bool { return a == b })
}

// Glob matches s against a pattern in which * stands for any text, ? for one byte and any other byte
// for those that are the same. Brackets are plain, because IPv6 addresses have them. It takes at most
// len(pattern) * len(s) steps.
func Glob(pattern, s string, same func(pattern, s byte) bool) bool {
	p, at := 0, 0
	star, mark := -1, 0
	for at < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, at
			p++
		case p < len(pattern) && (pattern[p] == '?' || same(pattern[p], s[at])):
			p++
			at++
		case star >= 0: // let the star swallow one more
			mark++
			p, at = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// overrides are in the order in which they were said: the newest that matches wins. A set is
// replaced, never changed.
type overrides []*Override

// with adds o; the same pattern said again replaces what was said before.
func (os overrides) with(o Override) (overrides, error) {
	next := os.without(func(old *Override) bool { return old.Pattern == o.Pattern })
	if len(next) >= maxOverrides {
		return nil, fmt.Errorf("there are already %d overrides; release some", maxOverrides)
	}
	return append(next, &o), nil
}

func (os overrides) without(gone func(*Override) bool) overrides {
	return slices.DeleteFunc(slices.Clone(os), gone)
}

// of is the override that holds for k; nil when none does.
func (os overrides) of(k Key) *Override {
	for _, o := range slices.Backward(os) {
		if matches(o.Pattern, k) {
			return o
		}
	}
	return nil
}

// nextExpiry is when the first of them ends; false when none does.
func (os overrides) nextExpiry() (time.Time, bool) {
	var first time.Time
	for _, o := range os {
		if !o.Expires.IsZero() && (first.IsZero() || o.Expires.Before(first)) {
			first = o.Expires
		}
	}
	return first, !first.IsZero()
}
