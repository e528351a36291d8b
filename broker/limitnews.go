package broker

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// maxSpoken bounds what one exchange writes: the heaviest first, the rest with the next one.
const maxSpoken = 2000

// spoken is a batch on its way to the store. It stays the same until the store has taken it: nobody
// knows whether one that failed was written.
type spoken struct {
	id     string
	counts []LimitCount // with the age that they had at
	at     time.Duration
	blocks []LimitKey
}

// speak collects what the other brokers have not been told. Nil: nothing.
func (l *limiter) speak(id string, now time.Time) *spoken {
	if len(l.dirty) == 0 && len(l.fresh) == 0 {
		return nil
	}
	out := &spoken{id: id, at: l.elapsed(now)}
	for _, k := range l.heaviest() {
		if len(out.counts) >= maxSpoken {
			break
		}
		delete(l.dirty, k)
		t := l.tallies[k]
		if t == nil {
			continue
		}
		t.unsent(out.at, func(s *slot, age time.Duration) {
			out.counts = append(out.counts, LimitCount{LimitKey: k, Bad: s.own.bad - s.sent.bad, Good: s.own.good - s.sent.good, Age: age})
			s.sent = s.own
		})
	}
	l.speakBlocks(out)
	return out
}

// speakBlocks adds blocks that the others have not been told.
func (l *limiter) speakBlocks(s *spoken) {
	for k := range l.fresh {
		if len(s.blocks) >= maxSpoken {
			break
		}
		s.blocks = append(s.blocks, k)
		delete(l.fresh, k)
	}
}

// heaviest are the dirty keys; when they do not all fit, by the failures behind them.
func (l *limiter) heaviest() []LimitKey {
	keys := slices.Collect(maps.Keys(l.dirty))
	if len(keys) <= maxSpoken/limitSlots {
		return keys
	}
	weight := func(k LimitKey) (bad int) {
		if t := l.tallies[k]; t != nil {
			for _, s := range t.slots {
				bad += s.own.bad
			}
		}
		return bad
	}
	slices.SortFunc(keys, func(a, b LimitKey) int { return cmp.Compare(weight(b), weight(a)) })
	return keys
}

// batch is what a spoken one is at the moment now: everything is older than it was.
func (l *limiter) batch(s *spoken, now time.Time) (LimitBatch, []LimitBlock) {
	at := l.elapsed(now)
	b := LimitBatch{ID: s.id, Counts: slices.Clone(s.counts)}
	for i := range b.Counts {
		b.Counts[i].Age += at - s.at
	}
	var blocks []LimitBlock
	for _, k := range s.blocks {
		if h := l.blocks[k]; h != nil { // it may have been lifted since
			blocks = append(blocks, LimitBlock{LimitKey: k, Level: h.level, SiteID: h.site, Age: at - h.since, Left: h.until - at})
		}
	}
	return b, blocks
}

// hear counts what another broker has counted.
func (l *limiter) hear(counts []LimitCount, now time.Time) {
	at := l.elapsed(now)
	for _, c := range counts {
		if b := l.blocks[c.LimitKey]; b != nil && b.until > at {
			continue
		}
		if c.Age < 0 || c.Age > maxLimitWindow || c.Bad <= 0 && c.Good <= 0 && l.tallies[c.LimitKey] == nil {
			continue
		}
		t := l.tally(c.LimitKey)
		t.at(at)
		s := t.at(at - c.Age)
		if s == nil {
			continue
		}
		s.others.bad = max(0, s.others.bad+c.Bad)
		s.others.good = max(0, s.others.good+c.Good)
		if c.Bad > 0 && t.signedIn() { // now the successes here count for them, too
			l.dirty[c.LimitKey] = true
		}
	}
}

// take takes over what the store says about a block.
func (l *limiter) take(b LimitBlock, now time.Time) {
	at := l.elapsed(now)
	mine := l.blocks[b.LimitKey]
	if mine != nil && mine.since > at-b.Changed {
		return // made here after what is told; the store will hear of it
	}
	switch {
	case b.Level == 0: // lifted
		delete(l.blocks, b.LimitKey)
		delete(l.fresh, b.LimitKey)
		l.forget(b.LimitKey)
		return
	case b.Left <= 0:
		if mine == nil || b.Kind == LimitOperator { // it makes the next one longer
			l.blocks[b.LimitKey] = &held{level: b.Level, site: b.SiteID, since: at - b.Age, until: at + b.Left}
		}
		return
	}
	if mine == nil && len(l.blocks) >= maxBlocks {
		return
	}
	until := at + b.Left
	if mine != nil && b.Kind != LimitOperator { // nothing that is known ends early, but by an operator's word
		until = max(until, mine.until)
	}
	l.blocks[b.LimitKey] = &held{level: b.Level, site: b.SiteID, since: at - b.Age, until: until, except: b.Except}
	l.forget(b.LimitKey)
}
