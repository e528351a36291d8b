package steer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"switchpoint/internal/problem"
)

// Bounds of the document.
const (
	// MaxOverrides and MaxReleases are how many there may be. Of releases the newest are kept.
	MaxOverrides = 1000
	MaxReleases  = 100
	// MaxPast is how many earlier versions a document remembers.
	MaxPast = 100

	maxVersion = 1 << 53 // what every JSON reader holds exactly
	maxName    = 255     // of a node
	maxOwner   = 200
	maxReason  = 500
)

// What an override may say.
var overrideStates = []string{"up", "down", "draining", "maintenance"}

const (
	overrideForm = `"NAME", "NAME/DATACENTER" or "NAME/DATACENTER/ADDRESS:PORT"`
	releaseForm  = `"NAME" or "NAME/DATACENTER"`
)

// Validate says what is wrong with the override by itself; whether it has ended is not asked.
func (v Override) Validate() error {
	if err := checkPattern(v.Pattern, 3, overrideForm); err != nil {
		return err
	}
	if !slices.Contains(overrideStates, v.State) {
		return fmt.Errorf("%.100q is no state for an override; write one of %s", v.State, strings.Join(overrideStates, ", "))
	}
	if !v.Until.IsZero() && !v.Until.After(v.From) {
		return fmt.Errorf("it ends at %s, before it begins", v.Until.UTC().Format("2006-01-02 15:04:05"))
	}
	return v.Note.Validate()
}

// Validate says what is wrong with the release by itself.
func (r Release) Validate() error {
	if err := checkPattern(r.Pattern, 2, releaseForm); err != nil {
		return err
	}
	return r.Note.Validate()
}

// Validate says what is wrong with the note. A reason may be left out, an owner may not.
func (n Note) Validate() error {
	if strings.TrimSpace(n.Owner) == "" {
		return errors.New("an owner is missing; say who does this")
	}
	return errors.Join(printable("owner", n.Owner, maxOwner), printable("reason", n.Reason, maxReason))
}

func (s Stamp) validate() error {
	if s.Version == 0 {
		return errors.New("0 is no version; it counts from 1")
	}
	if s.Version > maxVersion {
		return fmt.Errorf("version %d is not possible, at most %d", s.Version, uint64(maxVersion))
	}
	if s.Node == "" {
		return errors.New("a node is missing")
	}
	return printable("node", s.Node, maxName)
}

// Validate reports what is wrong with the document. A node takes no document from another one,
// nor from its disk, that this finds a fault in.
func (o *Operator) Validate() error {
	var l problem.List
	l.Under("", o.Stamp().validate())
	if o.Mode != "" && o.Mode != ModePrimary && o.Mode != ModeDR {
		l.Addf("mode", "write primary or dr", "%.100q is no mode of operation", o.Mode)
	}
	if o.ModeWhy != (Note{}) {
		l.Under("mode_why", o.ModeWhy.Validate())
	}
	if o.ModeVersion > o.Version {
		l.Addf("mode_version", "write that of the document in which the mode was said", "%d is not yet there", o.ModeVersion)
	}
	few := func(path string, n, most int) bool {
		if n > most {
			l.Addf(path, "release some", "there are %d, at most %d are possible", n, most)
		}
		return n <= most
	}
	if few("past", len(o.Past), MaxPast) {
		for i, s := range o.Past {
			l.Under(fmt.Sprintf("past[%d]", i), errors.Join(s.validate(), o.earlier(i)))
		}
	}
	if few("overrides", len(o.Overrides), MaxOverrides) {
		for i, v := range o.Overrides {
			l.Under(fmt.Sprintf("overrides[%d]", i), errors.Join(v.Validate(), o.said(v.Version)))
		}
	}
	if few("releases", len(o.Releases), MaxReleases) {
		for i, r := range o.Releases {
			l.Under(fmt.Sprintf("releases[%d]", i), errors.Join(r.Validate(), o.said(r.Version)))
		}
	}
	return l.Err()
}

// earlier says what is wrong with the place of a past version: they rise, up to that of now.
func (o *Operator) earlier(i int) error {
	switch version := o.Past[i].Version; {
	case version >= o.Version:
		return fmt.Errorf("%d is not before version %d", version, o.Version)
	case i > 0 && version <= o.Past[i-1].Version:
		return fmt.Errorf("%d is not after the one before it", version)
	}
	return nil
}

// said checks the version in which something was said. One that is still to come would count as
// newer than everything that is said until then.
func (o *Operator) said(version uint64) error {
	if version > o.Version {
		return fmt.Errorf("it is of version %d, which is not yet there", version)
	}
	return nil
}
