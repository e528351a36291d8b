package postgres

import (
	"context"

	"switchpoint/broker"
)

// purgeBatch bounds the rows that one transaction deletes of each kind.
const purgeBatch = 5000

// freeSQL takes the claim off a desktop.
const freeSQL = `claim_directory = NULL, claim_user = NULL, claim_slot = NULL, claim_session = NULL, claimed_at = NULL, claim_pool = NULL,
	release_at = NULL, claim_used_at = NULL, unseen_since = NULL, released_at = now()`

// Rows that somebody works on are left for the next purge, of this broker or another.
const (
	purgeClaims = `UPDATE desktop SET ` + freeSQL + ` WHERE id IN (SELECT d.id FROM desktop d JOIN session s ON s.id = d.claim_session
		JOIN desktop_pool p ON p.id = d.claim_pool
		WHERE COALESCE(d.release_at, s.expires_at + p.release_us` + microSQL + `) <= now() - $1::bigint` + microSQL + ` AND NOT ` + inUse + ` LIMIT $2 FOR NO KEY UPDATE OF d SKIP LOCKED)`
	purgeKeys = `DELETE FROM idempotency WHERE (scope, key) IN (SELECT scope, key FROM idempotency
		WHERE expires_at <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeTickets = `DELETE FROM ticket WHERE id IN (SELECT id FROM ticket
		WHERE expires_at <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeBatches = `DELETE FROM limit_batch WHERE id IN (SELECT id FROM limit_batch
		WHERE at <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeBlocks = `DELETE FROM limit_block WHERE (kind, user_name, source) IN (SELECT kind, user_name, source FROM limit_block
		WHERE until <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeLeases = `DELETE FROM lease WHERE (` + leaseKey + `) IN (SELECT ` + leaseKey + ` FROM lease
		WHERE COALESCE(removed_at, expires_at) <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
	purgeSessions = `DELETE FROM session WHERE id IN (SELECT s.id FROM session s
		WHERE COALESCE(s.ended_at, s.expires_at) <= now() - $1::bigint` + microSQL + `
			AND NOT EXISTS (SELECT FROM desktop d WHERE d.claim_session = s.id) LIMIT $2 FOR UPDATE OF s SKIP LOCKED)`
	purgeLog = `DELETE FROM log WHERE id IN (SELECT id FROM log
		WHERE at <= now() - $1::bigint` + microSQL + ` LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

// Purge implements broker.Store.
func (s *Store) Purge(ctx context.Context, r broker.Retention) (broker.Purged, error) {
	var p broker.Purged
	err := s.write(ctx, "purge", func(l link) error {
		p = broker.Purged{}
		for _, step := range []struct {
			count *int
			query string
			keep  int64
		}{
			{&p.Released, purgeClaims, 0},
			{&p.Keys, purgeKeys, 0},
			{&p.Tickets, purgeTickets, 0},
			{&p.Limits, purgeBatches, limitKeep.Microseconds()},
			{&p.Limits, purgeBlocks, limitLevels.Microseconds()},
			{&p.Leases, purgeLeases, broker.LeaseKeep.Microseconds()},
			{&p.Sessions, purgeSessions, r.Sessions.Microseconds()},
			{&p.Log, purgeLog, r.Log.Microseconds()},
		} {
			n, err := l.exec(step.query, step.keep, purgeBatch)
			if err != nil {
				return err
			}
			*step.count += n
			p.More = p.More || n >= purgeBatch
		}
		return nil
	})
	return p, err
}
