package nodes

import (
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// liveFor is for how many intervals a node counts after its last report.
const liveFor = 3

// inbox is what another node has told: its votes, and what it says of itself.
type inbox struct {
	heard    time.Time // of its last report; zero: never
	interval time.Duration
	blind    bool
	document steer.Stamp // the operators' document that it has
	checks   int         // on how many it has a view
	start    uint64      // of its process
	seq      uint64      // up to which votes are complete; 0: nothing is
	votes    []vote      // in the order of this node's watch
	staged   staged
}

// staged is a report of which parts are missing.
type staged struct {
	seq, base uint64
	next      int // the part that is missing
	votes     []stagedVote
}

type stagedVote struct {
	at int // its place in the watch
	vote
}

// live says whether the node is in touch. interval is this node's own.
func (b *inbox) live(now time.Time, interval time.Duration) bool {
	return !b.heard.IsZero() && now.Before(b.expires(interval))
}

// expires is when the node will be forgotten if it is not heard of.
func (b *inbox) expires(interval time.Duration) time.Time {
	return b.heard.Add(liveFor * max(interval, b.interval))
}

// rewatch follows a change of what this node watches. What is new to it has to be told again.
func (b *inbox) rewatch(from, to *watch) {
	b.votes, b.staged = move(b.votes, from, to), staged{}
	for _, k := range to.keys {
		if _, had := from.byKey[k]; !had {
			b.seq = 0
			return
		}
	}
}

// take reads a part of a report. changed says whether a vote or the node's sight is another one
// now. A report out of turn changes nothing and asks for a full one:
//
//	a new start of the process         forget its votes; needs a full report
//	a sequence that is already known   nothing is new
//	the base is not what is known      needs a full report
//	a part out of turn                 needs a full report
//	more than this node watches        needs a full report
//	a part, others are missing         kept
//	the last part                      all parts count, at once
func (b *inbox) take(r *report, w *watch, now time.Time) (answer reportAnswer, changed bool) {
	changed = b.blind != r.Blind
	b.heard, b.blind, b.document = now, r.Blind, r.Document
	b.interval = time.Duration(r.Interval) * time.Millisecond
	if r.Start != b.start {
		changed = changed || b.seq != 0
		b.start, b.seq, b.checks, b.votes, b.staged = r.Start, 0, 0, make([]vote, len(w.keys)), staged{}
	}
	if full := r.Base == 0; !full && r.Base != b.seq || full && r.Seq < b.seq {
		b.staged = staged{}
		return reportAnswer{Seen: b.seq, Full: r.Seq > b.seq}, changed
	}
	if r.Part == 0 {
		b.staged = staged{seq: r.Seq, base: r.Base}
	} else if r.Part != b.staged.next || r.Seq != b.staged.seq || r.Base != b.staged.base {
		b.staged = staged{}
		return reportAnswer{Seen: b.seq, Full: true}, changed
	}
	b.staged.next++
	if !b.stage(r.Checks, w, now) {
		b.staged = staged{}
		return reportAnswer{Seen: b.seq, Full: true}, changed
	}
	if b.staged.next < r.Parts {
		return reportAnswer{Seen: b.seq}, changed
	}
	changed = b.commit(w) || changed
	return reportAnswer{Seen: b.seq}, changed
}

// stage keeps what this node watches of a part. A report that names more than that, over and over,
// is refused: it must not fill the memory.
func (b *inbox) stage(checks []wireStatus, w *watch, now time.Time) bool {
	for i := range checks {
		c := &checks[i]
		if at, ours := w.byKey[healthcheck.Key{Address: c.Address, Monitor: c.Monitor}]; ours {
			b.staged.votes = append(b.staged.votes, stagedVote{at, c.vote(now)})
		}
	}
	return len(b.staged.votes) <= len(w.keys)
}

// commit makes a complete report count.
func (b *inbox) commit(w *watch) (changed bool) {
	votes := b.votes
	if b.staged.base == 0 {
		votes = make([]vote, len(w.keys))
	}
	for _, v := range b.staged.votes {
		changed = changed || b.staged.base != 0 && v.differs(votes[v.at])
		votes[v.at] = v.vote
	}
	if b.staged.base == 0 {
		for i := range votes {
			changed = changed || votes[i].differs(b.votes[i])
		}
	}
	b.votes, b.seq, b.staged = votes, b.staged.seq, staged{}
	b.checks = 0
	for i := range votes {
		if votes[i].state != healthcheck.Unknown {
			b.checks++
		}
	}
	return changed
}

// differs says whether a decision could turn on the difference of two votes.
func (v vote) differs(other vote) bool {
	return v.state != other.state || v.traffic != other.traffic || v.load != other.load || v.steady != other.steady
}
