package broker

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// LeaseReader gathers the rows of leases that a store reads. One that cannot be understood is left out: the
// others count all the same.
type LeaseReader struct {
	List []Lease
	Last LeaseCursor // of the last row, whether it was left out or not

	rows       int
	unreadable int
	first      error // why the first of them is
}

// Take takes a row: its id, the lease, and the JSON of its desktops and grants.
func (r *LeaseReader) Take(id string, l Lease, desktops, grants []byte) {
	r.rows++
	r.Last = LeaseCursor{Changed: l.Changed, Key: id}
	err := json.Unmarshal(desktops, &l.Desktops)
	if err == nil {
		err = json.Unmarshal(grants, &l.Grants)
	}
	switch {
	case err != nil && !l.Removed.IsZero(): // it is enough to know that
		l.Desktops, l.Grants = nil, nil
	case err != nil:
		if r.unreadable++; r.first == nil {
			r.first = fmt.Errorf("lease %s: %w", id, err)
		}
		return
	case len(l.Grants) == 0:
		l.Grants = nil
	}
	r.List = append(r.List, l)
}

// Fill reads rows that follow one another until the list has most leases or there are no more. page takes up
// to n rows after a cursor.
func (r *LeaseReader) Fill(most int, page func(after LeaseCursor, n int) error) error {
	for len(r.List) < most {
		before, n := r.rows, most-len(r.List)
		if err := page(r.Last, n); err != nil {
			return err
		}
		if r.rows-before < n {
			return nil
		}
	}
	return nil
}

// Tell writes down how many were left out, if any.
func (r *LeaseReader) Tell(log *slog.Logger) {
	if r.unreadable > 0 {
		log.Warn("leases that cannot be read are left out; the next connect of their user writes them anew", "count", r.unreadable, "first", r.first)
	}
}
