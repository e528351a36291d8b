package sqlite

import (
	"time"

	"switchpoint/broker"
)

// ticketKey gives c the key of its tickets: that of the database, or the first that is proposed.
func ticketKey(t txn, c *broker.Cluster, proposal broker.Cluster) error {
	if proposal.TicketKey != [32]byte{} {
		if _, err := t.exec(`UPDATE cluster SET ticket_key = ? WHERE ticket_key IS NULL`, proposal.TicketKey[:]); err != nil {
			return err
		}
	}
	var key []byte
	err := t.row(`SELECT ticket_key FROM cluster`).Scan(&key)
	copy(c.TicketKey[:], key)
	return err
}

// spend takes a ticket, or says that it is taken.
func spend(t txn, ticket string, keep time.Duration) error {
	if ticket == "" {
		return nil
	}
	n, err := t.exec(`INSERT INTO ticket (id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, ticket, t.now+keep.Milliseconds())
	if err == nil && n == 0 {
		return broker.ErrTicketUsed
	}
	return err
}
