package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"switchpoint/broker"
)

// ticketKey gives c the key of its tickets: that of the database, or the first that is proposed. The row
// of the cluster is locked by then.
func ticketKey(l link, c *broker.Cluster, proposal broker.Cluster) error {
	var propose []byte // NULL: none
	if proposal.TicketKey != [32]byte{} {
		propose = proposal.TicketKey[:]
	}
	var key []byte
	err := l.row(`UPDATE cluster SET ticket_key = COALESCE(ticket_key, $1) RETURNING ticket_key`, propose).Scan(&key)
	copy(c.TicketKey[:], key)
	return err
}

// ticketSpent is the constraint that a ticket breaks which was spent before. Another login that spends it
// at the same time is waited for; the one that loses has no effect at all.
const ticketSpent = "ticket_pkey"

// spendSQL and spendElsewhereSQL are the part of a login that spends its ticket, where it has one.
const (
	spendSQL          = `spent AS (INSERT INTO ticket (id, expires_at) SELECT $31::text, now() + $32::bigint` + microSQL + ` FROM verdict WHERE offered AND NOT replay), `
	spendElsewhereSQL = `spent AS (INSERT INTO ticket (id, expires_at) SELECT $22::text, now() + $23::bigint` + microSQL + ` FROM verdict WHERE NOT replay), `
)

// withTicket gives the statement and the parameters of a login with its ticket, if it has one: other
// logins must not pay for it.
func withTicket(r broker.LoginRecord, plain, spending string, args []any) (string, []any) {
	if r.Ticket == "" {
		return plain, args
	}
	return spending, append(args, r.Ticket, r.TicketKeep.Microseconds())
}

// isSpent says whether an error means that the ticket was spent before.
func isSpent(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.ConstraintName == ticketSpent
}
