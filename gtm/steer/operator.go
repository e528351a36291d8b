package steer

import (
	"cmp"
	"slices"
	"time"
)

// The modes of operation (TP4).
const (
	ModePrimary = "primary"
	ModeDR      = "dr"
)

// Operator is what operators have said: one small document that all gtm nodes share (GT7). It is
// changed by copy. The higher version wins, and of two with the same version that of the greater
// node name.
type Operator struct {
	Version uint64    `json:"version"`
	Node    string    `json:"node"` // where this version was made
	At      time.Time `json:"at"`
	// Past are the newest of the versions that this one was made from, the latest last. They tell
	// a later version of the same document from one that was made on the other side of a partition.
	Past []Stamp `json:"past,omitempty"`
	// Mode is ModePrimary or ModeDR; empty counts as primary.
	Mode        string     `json:"mode,omitempty"`
	ModeWhy     Note       `json:"mode_why,omitzero"`
	ModeVersion uint64     `json:"mode_version,omitempty"` // in which Mode was said
	Overrides   []Override `json:"overrides,omitempty"`    // a later one counts before an earlier one
	Releases    []Release  `json:"releases,omitempty"`
}

// Stamp names one version of the document.
type Stamp struct {
	Version uint64 `json:"version"`
	Node    string `json:"node"`
}

// Note says who did something, when and why.
type Note struct {
	Owner  string    `json:"owner"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Override puts what its pattern names into a state, whatever its health.
type Override struct {
	// Pattern is a glob for "NAME/DATACENTER/ADDRESS:PORT" without final dots, part by part: *
	// stands for any text within a part, ? for one character, and the case of letters does not
	// count. It may end after any part and then covers all below: "*/us" is the datacenter us of
	// every name, "cb.company.com/us/192.0.2.1:*" one address.
	Pattern string `json:"pattern"`
	// State is "up", "down", "draining" or "maintenance"; the last three take it out.
	State   string    `json:"state"`
	From    time.Time `json:"from,omitzero"`     // zero: at once
	Until   time.Time `json:"until,omitzero"`    // zero: until it is released
	Version uint64    `json:"version,omitempty"` // of the document in which it was said
	Note
}

// Release ends the manual-resume holds of the pools under its pattern that are older than it.
type Release struct {
	Pattern string `json:"pattern"` // NAME/DATACENTER, as that of an Override
	// Version is that of the document in which it was said: a hold that began under this or a
	// later version is not meant. Clocks of different nodes play no part.
	Version uint64 `json:"version"`
	Note
}

// Stamp is the name of this version.
func (o *Operator) Stamp() Stamp { return Stamp{o.Version, o.Node} }

// Newer says whether s replaces other.
func (s Stamp) Newer(other Stamp) bool {
	return cmp.Or(cmp.Compare(s.Version, other.Version), cmp.Compare(s.Node, other.Node)) > 0
}

// Newer says whether o replaces other.
func (o *Operator) Newer(other *Operator) bool { return o.Stamp().Newer(other.Stamp()) }

// Clone is a copy that shares nothing with o.
func (o *Operator) Clone() *Operator {
	next := *o
	next.Past = slices.Clone(o.Past)
	next.Overrides = slices.Clone(o.Overrides)
	next.Releases = slices.Clone(o.Releases)
	return &next
}

// With gives a copy that says v too, as the newest word. It takes the place of what was said for
// the same pattern before.
func (o *Operator) With(v Override) *Operator {
	next, _ := o.Without(v.Pattern)
	next.Overrides = append(next.Overrides, v)
	return next
}

// Without gives a copy without the overrides that have just this pattern, and how many those were.
func (o *Operator) Without(pattern string) (*Operator, int) {
	next := o.Clone()
	next.Overrides = slices.DeleteFunc(next.Overrides, func(v Override) bool { return foldEqual(v.Pattern, pattern) })
	return next, len(o.Overrides) - len(next.Overrides)
}

// mode is the mode of operation in force.
func (o *Operator) mode() string { return cmp.Or(o.Mode, ModePrimary) }

func (v Override) active(now time.Time) bool {
	return !now.Before(v.From) && !v.Over(now)
}

// Over says whether the override has ended by itself.
func (v Override) Over(now time.Time) bool { return !v.Until.IsZero() && !now.Before(v.Until) }

// released says whether a hold on "name/datacenter" that began under a version is over. A hold of a
// later version than this document's is older than all that it says: a document that was lost
// begins anew.
func (o *Operator) released(what string, since uint64) bool {
	return slices.ContainsFunc(o.Releases, func(r Release) bool {
		return (r.Version > since || since > o.Version) && covers(r.Pattern, what)
	})
}
