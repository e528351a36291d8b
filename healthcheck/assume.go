package healthcheck

// AssumeUp returns a snapshot in which every check that the engine has handed out a Ref for is
// up. It is for what-if questions without a running node, such as `switchpoint explain -c FILE`;
// it is never published.
func (e *Engine) AssumeUp() *Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	up := Status{State: Up, Reason: "assumed to be up", Load: noLoad, Steady: MaxSteady}
	s := &Snapshot{pages: make([]*page, (e.refs.next+pageSize-1)/pageSize)}
	for i := range s.pages {
		s.pages[i] = new(page)
		for j := range s.pages[i] {
			s.pages[i][j] = up
		}
	}
	return s
}
