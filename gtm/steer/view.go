package steer

import (
	"time"

	"switchpoint/healthcheck"
)

// View is who may serve right now: the small table that a change of health replaces. It never
// changes, and belongs to the Table that it was made for.
type View struct {
	table    *Table
	operator *Operator
	names    []nameView // in the order of the table
	due      time.Time
	events   []Event
}

// nameView is a steered name in a View.
type nameView struct {
	pools   []poolView // in the order of the name's pools
	policy  string     // the all-down policy in force; empty while something serves
	ttl     uint32     // seconds
	ttlWhy  string
	ignored []string // overrides that the safety rules do not let through, in words
	past    namePast // what the next view has to know
}

// poolView is one pool: who in it serves, and whether it takes part in the choice.
type poolView struct {
	measured []healthcheck.Status // of the members, without operators' overrides
	status   []healthcheck.Status // of the members, with them
	serving  []int                // members that may be answered; none where the pool is out
	rule     string               // why these
	in       bool                 // takes part in the choice between pools
	verdict  verdict              // which row of the truth table decided that
	why      string               // why it is out, or in all the same; empty for a pool that just serves
	shed     float64              // the share of its clients that goes elsewhere, 0 to 1
	cause    cause                // why it does
}

// Due is when something changes by itself, the zero time when nothing does.
func (v *View) Due() time.Time { return v.due }

// Operator is the document that the view follows.
func (v *View) Operator() *Operator { return v.operator }

// Event is one thing that became different when a View was made, for the log.
type Event struct {
	Name       string // empty for what concerns all names
	Datacenter string // empty for what concerns the whole name
	What       string // what happened, such as "pool is out"
	Why        string
	Bad        bool // worth a warning
}

// Events are the differences between the view and the one before it.
func (v *View) Events() []Event { return v.events }
