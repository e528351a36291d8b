package sites

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// check finds what newSet never makes, in contents that come from a file.
func (c contents) check() error {
	if len(c.Sites) == 0 {
		return errNoSites
	}
	known := make(map[string]bool, len(c.Sites))
	for _, s := range c.Sites {
		if s.Name == "" || known[fold(s.Name)] {
			return fmt.Errorf("site %q has no name or the name of another", s.Name)
		}
		known[fold(s.Name)] = true
	}
	for i, s := range c.Subnets {
		if i > 0 && c.Subnets[i-1].Prefix.Compare(s.Prefix) >= 0 {
			return fmt.Errorf("subnet %q is not in its place", s.Prefix)
		}
		if !s.Prefix.IsValid() || s.Prefix != s.Prefix.Masked() || !known[fold(s.Site)] {
			return fmt.Errorf("subnet %q is no prefix or has no site", s.Prefix)
		}
	}
	for _, l := range c.Links {
		if l.Cost < 0 {
			return fmt.Errorf("link %q has cost %d", l.Name, l.Cost)
		}
		for _, s := range l.Sites {
			if !known[fold(s)] {
				return fmt.Errorf("link %q joins %q, which is no site", l.Name, s)
			}
		}
	}
	return nil
}

func decodeStrict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
