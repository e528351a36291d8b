package sites

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Set is one reading of a forest's sites, subnets and links. It does not change.
type Set struct {
	c       contents
	sites   map[string]int // folded name -> index in c.Sites
	members [][]int        // of each link, as indexes into c.Sites
	linksOf [][]int        // of each site, as indexes into c.Links
}

// contents is a Set as it stands on disk. Every list is sorted; names are spelled as the site's own
// object spells them.
type contents struct {
	Source     string    `json:"source"`
	Read       time.Time `json:"read"`
	USN        uint64    `json:"usn,omitempty"`
	Transitive bool      `json:"transitive"`
	Sites      []Site    `json:"sites"`
	Subnets    []Subnet  `json:"subnets"`
	Links      []Link    `json:"links,omitempty"`
	Bridges    []Bridge  `json:"bridges,omitempty"`
	Problems   []Problem `json:"problems,omitempty"`
}

// Site is a place of good connectivity.
type Site struct {
	Name     string `json:"name"`
	Location string `json:"location,omitempty"`
}

// Subnet says that clients of Prefix are in Site, unless a longer prefix says otherwise.
type Subnet struct {
	Prefix   netip.Prefix `json:"prefix"`
	Site     string       `json:"site"`
	Location string       `json:"location,omitempty"`
}

// Link joins all its sites with each other (a full mesh) at Cost.
type Link struct {
	Name     string   `json:"name"`
	Sites    []string `json:"sites"`
	Cost     int      `json:"cost"`
	Interval int      `json:"interval_minutes"` // of replication
}

// Bridge lets paths lead over several of its links where the transport requires bridges.
type Bridge struct {
	Name  string   `json:"name"`
	Links []string `json:"links"`
}

// Problem is an object, or a part of one, that was left out.
type Problem struct {
	Object string `json:"object"` // its DN, or its place in a file
	What   string `json:"what"`
}

// String is one line.
func (p Problem) String() string { return p.Object + ": " + p.What }

// Source names the server or the file.
func (s *Set) Source() string { return s.c.Source }

// Time is when the set was read.
func (s *Set) Time() time.Time { return s.c.Read }

// USN is the highest uSNChanged of all objects. It counts the changes of the one server that was
// asked: those of two servers cannot be compared. Zero when unknown.
func (s *Set) USN() uint64 { return s.c.USN }

// Transitive says whether a path may lead over any links one after another. Otherwise the
// transport requires bridges (option bit 2), and a path of several links stays within one bridge.
func (s *Set) Transitive() bool { return s.c.Transitive }

// Sites yields all sites by name.
func (s *Set) Sites() iter.Seq[Site] { return slices.Values(s.c.Sites) }

// Subnets yields all subnets by address, a shorter prefix before those inside it.
func (s *Set) Subnets() iter.Seq[Subnet] { return slices.Values(s.c.Subnets) }

// Links yields all usable links by name.
func (s *Set) Links() iter.Seq[Link] {
	return func(yield func(Link) bool) {
		for _, l := range s.c.Links {
			l.Sites = slices.Clone(l.Sites)
			if !yield(l) {
				return
			}
		}
	}
}

// Problems lists what was left out and why.
func (s *Set) Problems() []Problem { return slices.Clone(s.c.Problems) }

// Len gives the numbers of sites, subnets and links.
func (s *Set) Len() (sites, subnets, links int) {
	return len(s.c.Sites), len(s.c.Subnets), len(s.c.Links)
}

// Site finds a site without regard to case.
func (s *Set) Site(name string) (Site, bool) {
	i, ok := s.sites[fold(name)]
	if !ok {
		return Site{}, false
	}
	return s.c.Sites[i], true
}

// fold makes names comparable as the directory compares them.
func fold(name string) string { return strings.ToLower(name) }

// indexed makes a Set of contents that are sorted and consistent.
func indexed(c contents) *Set {
	s := &Set{
		c: c, sites: make(map[string]int, len(c.Sites)),
		members: make([][]int, len(c.Links)), linksOf: make([][]int, len(c.Sites)),
	}
	for i, site := range c.Sites {
		s.sites[fold(site.Name)] = i
	}
	for l, link := range c.Links {
		for _, name := range link.Sites {
			i := s.sites[fold(name)]
			s.members[l] = append(s.members[l], i)
			s.linksOf[i] = append(s.linksOf[i], l)
		}
	}
	return s
}

// MarshalJSON writes all that the set holds.
func (s *Set) MarshalJSON() ([]byte, error) { return json.Marshal(s.c) }

// UnmarshalJSON reads what MarshalJSON wrote, and refuses what no reading of a directory can give.
func (s *Set) UnmarshalJSON(b []byte) error {
	var c contents
	if err := decodeStrict(b, &c); err != nil {
		return fmt.Errorf("decode sites: %w", err)
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("decode sites: %w", err)
	}
	*s = *indexed(c)
	return nil
}
