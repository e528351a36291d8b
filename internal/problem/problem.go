// Package problem is the one form in which every room reports a fault of its configuration:
// the thing, what is wrong with it, and the cure. A room knows its own fields but not the file
// that they came from, so it names the place as a path; configs turns the path into file:line.
//
// Invariants: a Problem is never logged by the room that found it, it is returned; a List with
// no entry is the nil error (use Err).
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one fault of a configuration.
type Problem struct {
	// Path names the value inside the room's own Config in TOML words, with list positions
	// from zero: "pool[0].members[2].address". Empty means the whole section.
	Path string
	// What says what is wrong, in one sentence without a full stop, with the offending value.
	What string
	// Cure says what to write instead. It may be empty only where What already says it.
	Cure string
}

// Error gives path, fault and cure on one line.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.What)
	if p.Cure != "" {
		b.WriteString("; ")
		b.WriteString(p.Cure)
	}
	return b.String()
}

// List collects problems so that one check reports all of them. The zero value is ready to use.
type List []Problem

// Addf adds a problem at path. The cure is given separately because it is never formatted.
func (l *List) Addf(path, cure, format string, args ...any) {
	*l = append(*l, Problem{Path: path, What: fmt.Sprintf(format, args...), Cure: cure})
}

// Under adds err found by the owner of a nested section, with prefix put before each of its
// paths. An err that is no List or Problem is kept as one problem at prefix; nil adds nothing.
func (l *List) Under(prefix string, err error) {
	var list List
	var one Problem
	switch {
	case err == nil:
	case errors.As(err, &list):
		for _, p := range list {
			p.Path = Join(prefix, p.Path)
			*l = append(*l, p)
		}
	case errors.As(err, &one):
		one.Path = Join(prefix, one.Path)
		*l = append(*l, one)
	default:
		*l = append(*l, Problem{Path: prefix, What: err.Error()})
	}
}

// Err returns the list as an error, or nil when it is empty.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// Error gives one problem a line.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Join puts two paths together; either may be empty.
func Join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "" || strings.HasPrefix(path, "["):
		return prefix + path
	}
	return prefix + "." + path
}
