package nodes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"switchpoint/gtm/steer"
)

// maxDocument bounds the operators' document, in bytes.
const maxDocument = 256 << 10

// maxAhead is how many versions a document of another node may be ahead of this node's. Operators
// do not say so much: such a version is a fault, and each one that is taken over brings the end of
// all versions nearer.
const maxAhead = 1 << 20

// document is the operators' document with the bytes that it was read from: they are kept and
// handed on as they are, so that a node does not lose what only a newer one understands. It
// never changes.
type document struct {
	operator *steer.Operator
	raw      []byte // empty for the document before the first
}

func emptyDocument() *document { return &document{operator: &steer.Operator{}} }

func (d *document) stamp() steer.Stamp { return d.operator.Stamp() }

// decodeDocument reads a document from disk or from a peer, and takes only a faultless one. Fields
// that it does not know are passed over.
func decodeDocument(raw []byte) (*document, error) {
	if len(raw) > maxDocument {
		return nil, fmt.Errorf("the document has %d bytes, at most %d are possible", len(raw), maxDocument)
	}
	var o steer.Operator
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("not an operators' document: %w", err)
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("the operators' document has a fault: %w", err)
	}
	return &document{&o, slices.Clone(raw)}, nil
}

// encodeDocument is the opposite, with the same demands.
func encodeDocument(o *steer.Operator) (*document, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode the operators' document: %w", err)
	}
	return decodeDocument(raw)
}

// successor makes the next version of a document with a change to it: what has ended by itself is
// left out, what is new is marked with the version.
func successor(before *steer.Operator, node string, now time.Time, change func(*steer.Operator) error) (*steer.Operator, error) {
	next := before.Clone()
	next.Version, next.Node, next.At = before.Version+1, node, now.UTC().Round(0)
	if before.Version > 0 {
		next.Past = append(next.Past, before.Stamp())
		next.Past = next.Past[max(0, len(next.Past)-steer.MaxPast):]
	}
	made := *next
	if err := change(next); err != nil {
		return nil, err
	}
	next.Version, next.Node, next.At, next.Past = made.Version, made.Node, made.At, made.Past
	if next.Mode != before.Mode || next.ModeWhy != before.ModeWhy {
		next.ModeVersion = next.Version
		next.ModeWhy = stamped(next.ModeWhy, next.At)
	}
	for i, v := range next.Overrides {
		if slices.Contains(before.Overrides, v) {
			continue
		}
		if v.Over(now) {
			return nil, fmt.Errorf("the override of %q has already ended, at %s", v.Pattern, v.Until.UTC().Format(time.DateTime))
		}
		next.Overrides[i].Version, next.Overrides[i].Note = next.Version, stamped(v.Note, next.At)
	}
	next.Overrides = slices.DeleteFunc(next.Overrides, func(v steer.Override) bool { return v.Over(now) })
	for i, r := range next.Releases {
		if !slices.Contains(before.Releases, r) {
			next.Releases[i].Version, next.Releases[i].Note = next.Version, stamped(r.Note, next.At)
		}
	}
	next.Releases = next.Releases[max(0, len(next.Releases)-steer.MaxReleases):]
	return next, nil
}

// stamped gives a note its time if it has none.
func stamped(n steer.Note, at time.Time) steer.Note {
	if n.At.IsZero() && n != (steer.Note{}) {
		n.At = at
	}
	return n
}

// descends says whether d was made from the version s, or from one that came after it. Where the
// past of d does not reach back so far it is taken for granted.
func descends(d *steer.Operator, s steer.Stamp) bool {
	return s.Version == 0 || s == d.Stamp() || slices.Contains(d.Past, s) ||
		len(d.Past) >= steer.MaxPast && s.Version < d.Past[0].Version
}

// common is the newest version that both documents were made from.
func common(a, b *steer.Operator) uint64 {
	var newest uint64
	for _, s := range append(slices.Clone(a.Past), a.Stamp()) {
		if s == b.Stamp() || slices.Contains(b.Past, s) {
			newest = max(newest, s.Version)
		}
	}
	return newest
}

// lost says what was said in one document and is not in the other, which replaces it without
// having been made from it.
func lost(loser, winner *steer.Operator) []string {
	since := common(loser, winner)
	var out []string
	mode := cmp.Or(loser.Mode, steer.ModePrimary)
	if loser.ModeVersion > since && mode != cmp.Or(winner.Mode, steer.ModePrimary) {
		out = append(out, "mode "+mode+said(loser.ModeWhy))
	}
	same := func(a, b steer.Override) bool {
		return a.Pattern == b.Pattern && a.State == b.State && a.From.Equal(b.From) && a.Until.Equal(b.Until)
	}
	for _, v := range loser.Overrides {
		if v.Version > since && !slices.ContainsFunc(winner.Overrides, func(w steer.Override) bool { return same(v, w) }) {
			out = append(out, "override "+v.Pattern+" "+v.State+said(v.Note))
		}
	}
	for _, w := range winner.Overrides {
		if w.Version <= since && !slices.ContainsFunc(loser.Overrides, func(v steer.Override) bool { return same(v, w) }) {
			out = append(out, "the end of override "+w.Pattern+" "+w.State+said(w.Note))
		}
	}
	for _, r := range loser.Releases {
		if r.Version > since && !slices.ContainsFunc(winner.Releases, func(w steer.Release) bool { return w.Pattern == r.Pattern && w.Version > since }) {
			out = append(out, "release "+r.Pattern+said(r.Note))
		}
	}
	return out
}

// said is a note as part of a sentence.
func said(n steer.Note) string {
	text := ""
	if n.Owner != "" {
		text = " by " + n.Owner
	}
	if !n.At.IsZero() {
		text += " at " + n.At.UTC().Format(time.DateTime)
	}
	if n.Reason != "" {
		text += " (" + n.Reason + ")"
	}
	return text
}
