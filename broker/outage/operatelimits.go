package outage

import (
	"context"
	"slices"
	"time"

	"switchpoint/broker"
)

// LimitBlocks implements broker.Store.
func (s *Store) LimitBlocks(ctx context.Context) ([]broker.LimitBlock, error) {
	return look(ctx, s, s.Primary.LimitBlocks, func(ctx context.Context, l *local) ([]broker.LimitBlock, error) { return l.cache.LimitBlocks(ctx) })
}

// LiftLimits implements broker.Store.
func (s *Store) LiftLimits(ctx context.Context, keys []broker.LimitKey, log broker.LogRow) ([]broker.LimitKey, error) {
	return call(ctx, s, writing, func(ctx context.Context) ([]broker.LimitKey, error) { return s.Primary.LiftLimits(ctx, keys, log) },
		func(ctx context.Context, l *local) ([]broker.LimitKey, error) {
			lifted, err := l.cache.LiftLimits(ctx, keys, log)
			if err != nil || len(lifted) == 0 {
				return nil, err
			}
			first := &log
			for keys := range slices.Chunk(lifted, limitsMost) {
				if err := s.saidHere(ctx, l, broker.Operation{Do: broker.OperateLift, Keys: keys}, first); err != nil {
					return nil, err
				}
				first = nil // one row names all of them
			}
			return lifted, nil
		})
}

// limitsMost bounds the blocks of one act, which fits into a batch (batchBytes) then, whatever the users are
// called.
const limitsMost = 300

// ExchangeLimits implements broker.Store. In an outage brokers do not hear of each other: each goes by the
// blocks that it knew and those that it makes.
func (s *Store) ExchangeLimits(ctx context.Context, q broker.LimitExchange) (broker.LimitNews, error) {
	return call(ctx, s, reading, func(ctx context.Context) (broker.LimitNews, error) { return s.Primary.ExchangeLimits(ctx, q) },
		func(ctx context.Context, l *local) (broker.LimitNews, error) { return l.exchangeLimits(ctx, q) })
}

func (l *local) exchangeLimits(ctx context.Context, q broker.LimitExchange) (broker.LimitNews, error) {
	started := q.Mark == 0 && q.Own == 0 // the broker knows nothing yet
	in := broker.LimitExchange{SiteID: q.SiteID, Batch: broker.LimitBatch{ID: q.Batch.ID}, Blocks: q.Blocks, Mark: q.Own}
	if q.Own == 0 && !started {
		in.Mark = time.Now().UnixMilli() // it knows what the file was copied from, and what came after
	}
	news, err := l.cache.ExchangeLimits(ctx, in)
	if err != nil {
		return news, err
	}
	for blocks := range slices.Chunk(q.Blocks, limitsMost) {
		o := broker.Operation{Do: broker.OperateBlock, Blocks: blocks}
		if err := l.node.journal(ctx, broker.Act{Kind: broker.ActOperator, At: time.Now().UTC(), Operation: &o}); err != nil {
			return broker.LimitNews{}, err
		}
	}
	if started {
		ahead, err := l.clockAhead(ctx, q.SiteID)
		if err != nil {
			return broker.LimitNews{}, err
		}
		for i := range news.Blocks {
			news.Blocks[i].Left += ahead
		}
	}
	return broker.LimitNews{Mark: news.Mark, Blocks: news.Blocks, Local: true}, nil
}

// clockAhead is how far this broker's clock is before that of the database, by which the ends of the
// blocks were written: by that much they would end early.
func (l *local) clockAhead(ctx context.Context, siteID int) (time.Duration, error) {
	list, err := l.cache.Brokers(ctx)
	if err != nil {
		return 0, err
	}
	for _, n := range list {
		if n.SiteID == siteID {
			return max(0, n.ClockOff), nil
		}
	}
	return 0, nil
}
