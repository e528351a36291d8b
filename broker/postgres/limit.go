package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"switchpoint/broker"
)

// Bounds of one exchange.
const (
	// limitOverlap is what is read again each time: a transaction carries the time of its begin, and may
	// end so much later.
	limitOverlap = 5 * time.Second
	limitRows    = 20_000
	// limitKeep is how long batches are of use to a broker that has just started.
	limitKeep = 2 * time.Hour
	// limitLevels is how long a block that is over makes the next one longer.
	limitLevels = 24 * time.Hour
)

// Moments and lengths of time in microseconds.
const (
	microsOf = `(extract(epoch FROM `
	inMicros = `) * 1000000)::bigint`
	// momentSQL is $1: a moment, or when it is negative so long before now.
	momentSQL = `CASE WHEN $1::bigint > 0 THEN to_timestamp($1::bigint / 1000000.0) ELSE now() + $1::bigint` + microSQL + ` END`
)

// ExchangeLimits implements broker.Store.
func (s *Store) ExchangeLimits(ctx context.Context, q broker.LimitExchange) (broker.LimitNews, error) {
	var news broker.LimitNews
	run := s.ask
	if q.Batch.ID != "" {
		run = s.write
	}
	err := run(ctx, "exchange limits", func(l link) error {
		news = broker.LimitNews{}
		if q.Batch.ID != "" {
			if err := writeLimits(l, q); err != nil {
				return err
			}
		}
		return readLimits(l, q, &news)
	})
	return news, err
}

func writeLimits(l link, q broker.LimitExchange) error {
	counts, err := json.Marshal(q.Batch.Counts)
	if err != nil {
		return err
	}
	if len(q.Batch.Counts) > 0 {
		if _, err := l.exec(`INSERT INTO limit_batch (id, site_id, at, counts) VALUES ($1, $2, now(), $3) ON CONFLICT DO NOTHING`, q.Batch.ID, q.SiteID, string(counts)); err != nil {
			return err
		}
	}
	blocks := slices.Clone(q.Blocks)
	slices.SortFunc(blocks, func(a, b broker.LimitBlock) int { return strings.Compare(a.String(), b.String()) }) // brokers lock in one order
	for _, b := range blocks {
		var except []string
		if b.Kind == broker.LimitUser {
			if err := l.each(`SELECT DISTINCT client_addr FROM session WHERE user_name = $1 LIMIT 1000`, func(r pgx.Row) error {
				var a string
				err := r.Scan(&a)
				except = append(except, a)
				return err
			}, b.User); err != nil {
				return err
			}
		}
		if _, err := l.exec(`INSERT INTO limit_block AS old (kind, user_name, source, level, site_id, since, until, except_for, changed_at)
			VALUES ($1, $2, $3, $4, $5, now() - $6::bigint`+microSQL+`, now() + $7::bigint`+microSQL+`, $8, now())
			ON CONFLICT (kind, user_name, source) DO UPDATE SET level = excluded.level, site_id = excluded.site_id, since = excluded.since,
				until = excluded.until, except_for = excluded.except_for, changed_at = excluded.changed_at
			WHERE excluded.since > old.since AND excluded.until > old.until OR excluded.kind = 'operator' AND excluded.since >= old.since`,
			string(b.Kind), b.User, b.Source, b.Level, b.SiteID, b.Age.Microseconds(), b.Left.Microseconds(), strings.Join(broker.Excepted(except), " ")); err != nil {
			return err
		}
	}
	return nil
}

// newsSQL is all that is new in one statement, since nearly always there is nothing: the time of the
// database, the batches, the blocks.
const newsSQL = `SELECT 0, '', 0::bigint, '', '', '', '', 0, 0, 0::bigint, 0::bigint, '', ` + microsOf + `now()` + inMicros + `, 0::bigint
UNION ALL (SELECT 1, id::text, ` + microsOf + `now() - at` + inMicros + `, counts, '', '', '', 0, 0, 0, 0, '', 0, 0 FROM limit_batch
	WHERE at >= ` + momentSQL + ` AND site_id <> $2 ORDER BY at DESC, id DESC LIMIT $3)
UNION ALL SELECT 2, '', 0, '', ` + blockColumns + ` FROM limit_block
	WHERE changed_at >= to_timestamp($4::bigint / 1000000.0) AND until > now() - $5::bigint` + microSQL

func readLimits(l link, q broker.LimitExchange, news *broker.LimitNews) error {
	// Where the window begins is counted from now, and the mark from then: the first time there is none.
	since, changed := -q.Within.Microseconds(), int64(0)
	if q.Mark != 0 {
		changed = q.Mark - limitOverlap.Microseconds()
		since = changed
	}
	err := l.each(newsSQL, func(r pgx.Row) error {
		var kind int
		var batch broker.LimitBatch
		var block blockRow
		var age int64
		var counts string
		if err := r.Scan(append([]any{&kind, &batch.ID, &age, &counts}, block.into()...)...); err != nil {
			return err
		}
		switch kind {
		case 0:
			news.Mark = block.Version
		case 1:
			if err := json.Unmarshal([]byte(counts), &batch.Counts); err != nil {
				return fmt.Errorf("limit batch %s: %w", batch.ID, err)
			}
			for i := range batch.Counts {
				batch.Counts[i].Age += micros(age)
			}
			news.Batches = append(news.Batches, batch)
		default:
			news.Blocks = append(news.Blocks, block.block())
		}
		return nil
	}, since, q.SiteID, limitRows, changed, limitLevels.Microseconds())
	slices.Reverse(news.Batches)
	slices.SortFunc(news.Blocks, func(a, b broker.LimitBlock) int { return cmp.Compare(b.Left, a.Left) })
	return err
}

// blockColumns are those of a block, as blockRow reads them.
const blockColumns = `kind, user_name, source, level, site_id, ` + microsOf + `now() - since` + inMicros + `, ` + microsOf + `until - now()` + inMicros +
	`, except_for, ` + microsOf + `changed_at` + inMicros + `, ` + microsOf + `now() - changed_at` + inMicros

type blockRow struct {
	broker.LimitBlock
	age, left, changed int64
	except             string
}

func (b *blockRow) into() []any {
	return []any{&b.Kind, &b.User, &b.Source, &b.Level, &b.SiteID, &b.age, &b.left, &b.except, &b.Version, &b.changed}
}

func (b *blockRow) block() broker.LimitBlock {
	out := b.LimitBlock
	out.Age, out.Left, out.Changed, out.Except = micros(b.age), micros(b.left), micros(b.changed), strings.Fields(b.except)
	return out
}

func readBlocks(l link, where string, args ...any) ([]broker.LimitBlock, error) {
	var out []broker.LimitBlock
	err := l.each(`SELECT `+blockColumns+` FROM limit_block WHERE `+where+` ORDER BY until DESC`, func(r pgx.Row) error {
		var b blockRow
		if err := r.Scan(b.into()...); err != nil {
			return err
		}
		out = append(out, b.block())
		return nil
	}, args...)
	return out, err
}

// LimitBlocks implements broker.Store.
func (s *Store) LimitBlocks(ctx context.Context) (out []broker.LimitBlock, err error) {
	err = s.ask(ctx, "list limits", func(l link) (err error) {
		out, err = readBlocks(l, `until > now()`)
		return err
	})
	return out, err
}

// LiftLimits implements broker.Store. The row stays, so that all brokers read that it ended.
func (s *Store) LiftLimits(ctx context.Context, keys []broker.LimitKey, log broker.LogRow) (lifted []broker.LimitKey, err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b broker.LimitKey) int { return strings.Compare(a.String(), b.String()) })
	err = s.write(ctx, "lift limits", func(l link) error {
		lifted = nil
		for _, k := range keys {
			n, err := l.exec(`UPDATE limit_block SET level = 0, since = now(), until = now(), changed_at = now()
				WHERE kind = $1 AND user_name = $2 AND source = $3 AND until > now()`, string(k.Kind), k.User, k.Source)
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
		return appendLog(l, log)
	})
	return lifted, err
}
