package gtm

import "switchpoint/directory/sites"

// SetSites makes the newest sites and subnets of the directory part of where clients are, for the
// present table and all later ones; nil: there are none.
func (s *Server) SetSites(set *sites.Set) {
	s.placing.Lock()
	defer s.placing.Unlock()
	s.sites = set
	if t := s.table(); t != nil {
		s.checkSites(t)
		s.setTable(t.WithSites(set))
	}
}

// SetTable makes t the configuration of every query from now on, with the newest sites. What the
// director remembers goes on for the names that are still there.
func (s *Server) SetTable(t *Table) {
	s.placing.Lock()
	defer s.placing.Unlock()
	if s.sites != nil {
		s.checkSites(t)
		t = t.WithSites(s.sites)
	}
	s.setTable(t)
}

// SiteOwners says which datacenter of the present table stands in which site: what the order of
// sites is for.
func (s *Server) SiteOwners(set *sites.Set) map[string]int {
	if t := s.table(); t != nil {
		return t.places.Owners(set)
	}
	return nil
}

// checkSites says which names of the configuration the directory does not know: a slip of the pen
// there looks like a site without a datacenter.
func (s *Server) checkSites(t *Table) {
	for _, name := range t.places.MissingSites(s.sites) {
		s.log.Warn("[[gtm.sites.map]] names a site that the directory does not have", "site", name)
	}
}

// WithSites gives the same table with these sites and subnets; nil: none. A large one takes a
// moment, so this is not for the time that the director's lock is held.
func (t *Table) WithSites(set *sites.Set) *Table {
	c := *t
	c.places = t.places.WithSites(set)
	return &c
}
