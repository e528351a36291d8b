package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchpoint/broker"
)

// Bounds of one exchange.
const (
	limitOverlap = 5 * time.Second // what is read again each time; writes here are one after the other
	limitRows    = 20_000
	// limitKeep is how long batches are of use to a broker that has just started.
	limitKeep = 2 * time.Hour
	// limitLevels is how long a block that is over makes the next one longer.
	limitLevels = 24 * time.Hour
)

// ExchangeLimits implements broker.Store.
func (s *Store) ExchangeLimits(ctx context.Context, q broker.LimitExchange) (broker.LimitNews, error) {
	var news broker.LimitNews
	run := s.read
	if q.Batch.ID != "" {
		run = s.write
	}
	err := run(ctx, "exchange limits", func(t txn) error {
		news = broker.LimitNews{Mark: t.now}
		if q.Batch.ID != "" {
			if err := writeLimits(t, q); err != nil {
				return err
			}
		}
		since := t.now - q.Within.Milliseconds()
		changed := int64(0) // all blocks that hold, the first time
		if q.Mark != 0 {
			since = max(since, q.Mark-limitOverlap.Milliseconds())
			changed = q.Mark - limitOverlap.Milliseconds()
		}
		err := each(t, `SELECT id, at, counts FROM limit_batch WHERE at >= ? AND site_id <> ? ORDER BY at DESC, id DESC LIMIT ?`, func(r *sql.Rows) error {
			var b broker.LimitBatch
			var at int64
			var counts string
			if err := r.Scan(&b.ID, &at, &counts); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(counts), &b.Counts); err != nil {
				return fmt.Errorf("limit batch %s: %w", b.ID, err)
			}
			for i := range b.Counts {
				b.Counts[i].Age += span(t.now - at)
			}
			news.Batches = append(news.Batches, b)
			return nil
		}, since, q.SiteID, limitRows)
		if err != nil {
			return err
		}
		slices.Reverse(news.Batches)
		news.Blocks, err = readBlocks(t, `changed_at >= ? AND until > ?`, changed, t.now-limitLevels.Milliseconds())
		return err
	})
	return news, err
}

func writeLimits(t txn, q broker.LimitExchange) error {
	counts, err := json.Marshal(q.Batch.Counts)
	if err != nil {
		return err
	}
	if len(q.Batch.Counts) > 0 {
		if _, err := t.exec(`INSERT INTO limit_batch (id, site_id, at, counts) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, q.Batch.ID, q.SiteID, t.now, string(counts)); err != nil {
			return err
		}
	}
	for _, b := range q.Blocks {
		var except []string
		if b.Kind == broker.LimitUser {
			if err := each(t, `SELECT DISTINCT client_addr FROM session WHERE user = ? LIMIT 1000`, func(r *sql.Rows) error {
				var a string
				err := r.Scan(&a)
				except = append(except, a)
				return err
			}, b.User); err != nil {
				return err
			}
		}
		if _, err := t.exec(`INSERT INTO limit_block (kind, user, source, level, site_id, since, until, except_for, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (kind, user, source) DO UPDATE SET level = excluded.level, site_id = excluded.site_id, since = excluded.since,
				until = excluded.until, except_for = excluded.except_for, changed_at = excluded.changed_at
			WHERE excluded.since > limit_block.since AND excluded.until > limit_block.until OR excluded.kind = 'operator' AND excluded.since >= limit_block.since`,
			string(b.Kind), b.User, b.Source, b.Level, b.SiteID, t.now-b.Age.Milliseconds(), t.now+b.Left.Milliseconds(),
			strings.Join(broker.Excepted(except), " "), t.now); err != nil {
			return err
		}
	}
	return nil
}

func readBlocks(t txn, where string, args ...any) ([]broker.LimitBlock, error) {
	var out []broker.LimitBlock
	err := each(t, `SELECT kind, user, source, level, site_id, since, until, except_for, changed_at FROM limit_block WHERE `+where+` ORDER BY until DESC`, func(r *sql.Rows) error {
		var b broker.LimitBlock
		var since, until int64
		var except string
		if err := r.Scan(&b.Kind, &b.User, &b.Source, &b.Level, &b.SiteID, &since, &until, &except, &b.Version); err != nil {
			return err
		}
		b.Age, b.Left, b.Changed, b.Except = span(t.now-since), span(until-t.now), span(t.now-b.Version), strings.Fields(except)
		out = append(out, b)
		return nil
	}, args...)
	return out, err
}

// LimitBlocks implements broker.Store.
func (s *Store) LimitBlocks(ctx context.Context) (out []broker.LimitBlock, err error) {
	err = s.read(ctx, "list limits", func(t txn) (err error) {
		out, err = readBlocks(t, `until > ?`, t.now)
		return err
	})
	return out, err
}

// LiftLimits implements broker.Store. The row stays, so that all brokers read that it ended.
func (s *Store) LiftLimits(ctx context.Context, keys []broker.LimitKey, log broker.LogRow) (lifted []broker.LimitKey, err error) {
	err = s.write(ctx, "lift limits", func(t txn) error {
		for _, k := range keys {
			n, err := t.exec(`UPDATE limit_block SET level = 0, since = ?1, until = ?1, changed_at = ?1 WHERE kind = ?2 AND user = ?3 AND source = ?4 AND until > ?1`,
				t.now, string(k.Kind), k.User, k.Source)
			if err != nil {
				return err
			}
			if n > 0 {
				lifted = append(lifted, k)
			}
		}
		if len(lifted) == 0 {
			return nil
		}
		return appendLog(t, log)
	})
	return lifted, err
}
