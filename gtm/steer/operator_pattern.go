package steer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"switchpoint/healthcheck"
)

// maxPattern bounds a pattern, in bytes: a name, a datacenter and an address.
const maxPattern = 400

// checkPattern says what is wrong with a pattern of at most so many parts.
func checkPattern(pattern string, most int, form string) error {
	parts := strings.Split(pattern, "/")
	switch {
	case pattern == "":
		return fmt.Errorf("there is no pattern; write %s", form)
	case len(pattern) > maxPattern:
		return fmt.Errorf("a pattern of %d bytes is too long, at most %d are possible", len(pattern), maxPattern)
	case strings.ContainsFunc(pattern, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsGraphic(r) || r == ' ' }):
		return fmt.Errorf("pattern %q has a character that no name has; write %s", pattern, form)
	case len(parts) > most:
		return fmt.Errorf("pattern %q has %d parts; write %s", pattern, len(parts), form)
	}
	for _, p := range parts {
		if p == "" {
			return fmt.Errorf("pattern %q has an empty part; write %s, with * for any", pattern, form)
		}
	}
	if strings.HasSuffix(parts[0], ".") {
		return fmt.Errorf("pattern %q: write the name without its final dot", pattern)
	}
	return nil
}

// covers says whether a pattern names what or something above it.
func covers(pattern, what string) bool {
	for {
		p, deeper, more := strings.Cut(pattern, "/")
		w, below, some := strings.Cut(what, "/")
		switch {
		case !glob(p, w):
			return false
		case !more:
			return true
		case !some:
			return false
		}
		pattern, what = deeper, below
	}
}

// glob matches as healthcheck's overrides do, but as names compare.
func glob(pattern, s string) bool { return healthcheck.Glob(pattern, s, sameLetter) }

func sameLetter(a, b byte) bool { return fold(a) == fold(b) }

// fold gives the small letter of an ASCII one, as names compare (RFC 4343).
func fold(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func foldEqual(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if !sameLetter(a[i], b[i]) {
			return false
		}
	}
	return true
}

// printable says what is wrong with a text that people will read.
func printable(what, text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("the %s has %d bytes, at most %d are possible", what, len(text), most)
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the " + what + " has characters that cannot be printed")
	}
	return nil
}
