package healthcheck

// Ref is the index of one check in every snapshot of a process. It is keyed by address and
// monitor, survives reloads, and is reclaimed only when no table holds it any more.
type Ref uint32

// NoRef is the Ref of something that is not monitored.
const NoRef = ^Ref(0)

// Key says what a check is: a target's address under a monitor.
type Key struct {
	Address string // host:port; the host may be a name
	Monitor string // name of a [[monitor]]
}

// pageSize is how many states one page of a snapshot holds: a change copies one page, not all.
const pageSize = 256

type page [pageSize]Status

// Snapshot is the immutable table of all states of one process. Decisions load it once and
// read only from it, so that one answer never mixes two moments.
type Snapshot struct {
	seq   uint64
	pages []*page
}

// Seq grows by one with every published change.
func (s *Snapshot) Seq() uint64 {
	if s == nil {
		return 0
	}
	return s.seq
}

// Get returns the status of r; beyond the table, for NoRef and on a nil snapshot it is Unknown.
func (s *Snapshot) Get(r Ref) Status {
	if s == nil || int(r/pageSize) >= len(s.pages) || s.pages[r/pageSize] == nil {
		return Status{Reason: notYet, Load: noLoad}
	}
	return s.pages[r/pageSize][r%pageSize]
}

// emptyPage is a page of checks that were not probed yet.
func emptyPage() *page {
	p := new(page)
	for i := range p {
		p[i] = Status{Reason: notYet, Load: noLoad}
	}
	return p
}

// notYet is the reason of a check between its creation and its first result.
const notYet = "not probed yet"

// with gives a snapshot in which the given checks have their present status. Only the pages
// that hold one of them are copied; all others are shared with s.
func (s *Snapshot) with(changed []*check) *Snapshot {
	next := &Snapshot{seq: s.seq + 1, pages: s.pages}
	next.pages = append(make([]*page, 0, len(s.pages)+1), s.pages...)
	for _, c := range changed {
		at := int(c.ref / pageSize)
		for at >= len(next.pages) {
			next.pages = append(next.pages, emptyPage())
		}
		if at < len(s.pages) && next.pages[at] == s.pages[at] {
			own := *s.pages[at]
			next.pages[at] = &own
		}
		next.pages[at][c.ref%pageSize] = c.status
	}
	return next
}
