package broker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// How the brokers of a cluster hear of each other's failed sign-ins: each writes what it has counted and
// reads what the others wrote, twice a second, and sooner when there is a new block. So a block holds
// everywhere within a second, and no login waits for it.
const (
	shareEvery = 500 * time.Millisecond
	shareSoon  = 200 * time.Millisecond // after the last exchange, for a new block
	shareBound = time.Second            // one exchange
	// aloneAfter is for how long no exchange may work before the limits are shared out among the brokers.
	aloneAfter = 2 * time.Second
	sweepEvery = 30 * time.Second
	// knownFor is how long what was read is remembered: longer than a store gives it again.
	knownFor = time.Minute
)

// sharing is the state of the exchange; only shareLimits has it.
type sharing struct {
	mark     int64
	own      int64 // mark of the files of this broker
	pending  *spoken
	batches  map[string]time.Time // read, and when
	versions map[LimitKey]int64   // of blocks
	worked   time.Time            // the newest exchange that did
	swept    time.Time
	told     bool // the log says that it does not work
}

// shareLimits runs the exchange until ctx ends, and then says what there is left to say.
func (b *Broker) shareLimits(ctx context.Context) {
	s := &sharing{batches: make(map[string]time.Time), versions: make(map[LimitKey]int64), worked: time.Now(), swept: time.Now()}
	t := time.NewTimer(0)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			b.exchangeLimits(context.WithoutCancel(ctx), s)
			return
		case <-b.gate.news:
			t.Reset(max(0, shareSoon-time.Since(last)))
			continue
		case <-t.C:
		}
		b.exchangeLimits(ctx, s)
		last = time.Now()
		t.Reset(shareEvery)
	}
}

// exchangeLimits is one exchange. What could not be written is written with the next one, and counts once.
func (b *Broker) exchangeLimits(ctx context.Context, s *sharing) {
	ctx, cancel := context.WithTimeout(ctx, shareBound)
	defer cancel()
	q := LimitExchange{SiteID: b.cfg.SiteID, Mark: s.mark, Within: maxLimitWindow, Own: s.own}
	b.gate.speak(s, &q)
	news, err := b.o.Store.ExchangeLimits(ctx, q)
	now := time.Now()
	if err != nil {
		if !s.told && (!errors.Is(err, ErrUnavailable) || now.Sub(s.worked) > aloneAfter) {
			s.told = true
			b.log.Warn("failed sign-ins are counted by each broker alone", "error", err)
		}
		if now.Sub(s.worked) > aloneAfter {
			b.gate.shareOut(b.originals.count())
		}
		return
	}
	if news.Local {
		b.gate.shareOut(b.originals.count())
		b.gate.listenAlone(s, news, now)
		return
	}
	if s.told {
		s.told = false
		b.log.Info("failed sign-ins are counted together again")
	}
	s.worked, s.mark, s.pending = now, news.Mark, nil
	b.gate.listen(s, news, now)
}

// speak puts into q what this broker has to say: what could not be written before, else what is new.
func (g *gate) speak(s *sharing, q *LimitExchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if s.pending == nil {
		s.pending = g.limiter.speak(newID(), now)
	} else {
		g.limiter.speakBlocks(s.pending)
	}
	if s.pending != nil {
		q.Batch, q.Blocks = g.limiter.batch(s.pending, now)
	}
	if now.Sub(s.swept) > sweepEvery {
		s.swept = now
		g.limiter.sweep(now)
		for id, read := range s.batches {
			if now.Sub(read) > knownFor {
				delete(s.batches, id)
			}
		}
		for k := range s.versions {
			if g.limiter.blocks[k] == nil {
				delete(s.versions, k)
			}
		}
	}
}

// listen takes over what is new in what was read.
func (g *gate) listen(s *sharing, news LimitNews, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alone = 1
	for _, batch := range news.Batches {
		if _, known := s.batches[batch.ID]; !known {
			s.batches[batch.ID] = now
			g.limiter.hear(batch.Counts, now)
		}
	}
	g.takeBlocks(s, news.Blocks, now)
}

func (g *gate) takeBlocks(s *sharing, blocks []LimitBlock, now time.Time) {
	for _, block := range blocks {
		if s.versions[block.LimitKey] != block.Version {
			s.versions[block.LimitKey] = block.Version
			g.limiter.take(block, now)
		}
	}
}

// listenAlone takes over the blocks of this broker's own files. What it has counted waits for the others.
func (g *gate) listenAlone(s *sharing, news LimitNews, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.own = news.Mark
	if s.pending != nil {
		s.pending.blocks = nil
	}
	g.takeBlocks(s, news.Blocks, now)
}

// shareOut divides the limits among so many brokers, which do not hear of each other.
func (g *gate) shareOut(brokers int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alone = max(1, brokers)
}

// count is how many brokers lived when that was last known.
func (o *originals) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.names)
}

// LimitBlocks lists the blocks that hold in the cluster, the longest first.
func (b *Broker) LimitBlocks(ctx context.Context) ([]LimitBlock, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.LimitBlocks(ctx)
}

// LiftLimits ends the blocks that user and address name, for the operator that by names: of a user (at
// every address, or at that one), of an address, or with neither all. ErrNotFound when there is none. They
// end at all brokers within a second.
func (b *Broker) LiftLimits(ctx context.Context, user, address, by string) ([]LimitKey, error) {
	name, source := limitUser(user), ""
	if user != "" && name == "" { // or it would be all addresses
		return nil, fmt.Errorf("%w: %q names no user", ErrInvalid, clip(user))
	}
	if address != "" {
		if p, err := netip.ParsePrefix(address); err == nil { // as a list of blocks has it
			address = p.Addr().String()
		}
		if source, _ = limitSource(address); source == "" {
			return nil, fmt.Errorf("%w: %q is no address", ErrInvalid, clip(address))
		}
	}
	arrived := time.Now()
	list, err := b.LimitBlocks(ctx)
	if err != nil {
		return nil, err
	}
	row := b.operatorRow(ctx, LogCluster, by)
	var keys []LimitKey
	for _, k := range list {
		if (user == "" || k.User == name) && (source == "" || k.Source == source) {
			keys = append(keys, k.LimitKey)
			row.Reason = append(row.Reason, fmt.Sprintf("%s has lifted the block of %s", by, k.LimitKey))
		}
	}
	if len(row.Reason) > maxLiftedShown {
		row.Reason = append(row.Reason[:maxLiftedShown], fmt.Sprintf("and %d more", len(keys)-maxLiftedShown))
	}
	row.Duration = sinceArrival(arrived)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	lifted, err := b.o.Store.LiftLimits(ctx, keys, row)
	if err == nil && len(lifted) == 0 {
		err = fmt.Errorf("%w: no such block holds", ErrNotFound)
	}
	if err == nil {
		b.gate.tell()
	}
	return lifted, err
}

const maxLiftedShown = 100

// tell asks for an exchange soon.
func (g *gate) tell() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}
