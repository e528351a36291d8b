package outage

import (
	"context"
	"fmt"

	"switchpoint/broker/outage/mode"
)

// The room that an outage took in node.db is given back after it (HC8), in steps that make nobody wait.
const (
	roomStep = 512 // pages of one step, 2 MB
	roomKept = 256 // pages that stay, for what comes next
)

// giveBack gives back what node.db does not need, while there is no outage.
func (s *Store) giveBack(ctx context.Context) {
	for more := true; more && s.State().Mode == mode.Normal && s.node.unmerged() == 0; {
		var err error
		if more, err = s.node.giveBack(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("outage: node.db does not give back the room that it does not need", "error", err)
		}
	}
}

// giveBack gives one step of what is unused in the file back to the disk, and says whether there is more.
func (n *node) giveBack(ctx context.Context) (more bool, err error) {
	var unused int
	err = n.db.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&unused)
	if unused -= roomKept; err != nil || unused <= 0 {
		return false, err
	}
	step := fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, min(unused, roomStep))
	err = n.write(ctx, func(ctx context.Context, tx nodeTx) error {
		_, err := tx.Tx.ExecContext(ctx, step) // a pragma may be carried out when it is compiled
		return err
	}, nil)
	if err != nil || unused > roomStep {
		return err == nil, err
	}
	_, err = n.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`) // it is what makes the file shorter
	return false, err
}

// returnsRoom has a file that was made before room was given back do so from now on.
func (n *node) returnsRoom(ctx context.Context) error {
	var can int
	err := n.db.QueryRowContext(ctx, `PRAGMA auto_vacuum`).Scan(&can)
	if err == nil && can == 0 {
		_, err = n.db.ExecContext(ctx, `VACUUM`) // with the auto_vacuum that the connection asks for
	}
	return err
}
