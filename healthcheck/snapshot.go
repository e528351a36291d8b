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
		return Status{Load: noLoad}
	}
	return s.pages[r/pageSize][r%pageSize]
}
