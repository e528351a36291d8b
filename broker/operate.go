package broker

import (
	"context"
	"fmt"
	"time"
)

// maxOperatorBlock is what no operator means.
const maxOperatorBlock = 366 * 24 * time.Hour

// BlockUser keeps a user from signing in for so long, at all brokers within a second, for the operator that
// by names. The user is named as the directory has him, with a domain or without: then it holds however he is
// typed at sign-in. Sessions that he has go on. LiftLimits ends it, and the newest word counts.
func (b *Broker) BlockUser(ctx context.Context, user string, lasting time.Duration, why, by string) error {
	name := limitUser(clip(user))
	switch {
	case name == "":
		return fmt.Errorf("%w: the name of a user is missing", ErrInvalid)
	case lasting < time.Second || lasting > maxOperatorBlock:
		return fmt.Errorf("%w: a block lasts from 1s to %s, not %s", ErrInvalid, maxOperatorBlock, lasting)
	}
	key := operatorKey(name)
	text := fmt.Sprintf("%s has blocked %s for %s", by, key, lasting)
	if why = clip(why); why != "" {
		text += ": " + why
	}
	err := b.operate(ctx, LogCluster, by, "", text, Operation{
		Do: OperateBlock, Why: why, Blocks: []LimitBlock{{LimitKey: key, Level: 1, SiteID: b.cfg.SiteID, Left: lasting}},
	})
	if err == nil {
		b.gate.tell()
	}
	return err
}

// AssignDesktop makes a desktop that is nobody's a user's own, for the operator that by names. Without
// a directory it is the first one of the setup. ErrConflict and ErrNotFound say why it cannot be.
func (b *Broker) AssignDesktop(ctx context.Context, a Assignment, why, by string) error {
	row := assignmentRow{ImportLine: ImportLine{User: canonicalUser(a.User), Directory: a.Directory, Desktop: a.Desktop}}
	if row.check(); row.User == "" {
		row.refuse("the user is missing", "name him as the directory has him")
	}
	rows := []assignmentRow{row}
	b.table.Load().setup.checkImport(rows)
	if row = rows[0]; row.Verdict == AssignRefused {
		return fmt.Errorf("%w: %s; %s", ErrConflict, row.Why, row.Cure)
	}
	text := fmt.Sprintf("%s has given desktop %s to user %s of directory %s", by, row.Desktop, row.User, row.Directory)
	if why = clip(why); why != "" {
		text += ": " + why
	}
	return b.operate(ctx, LogSetup, by, row.Desktop, text, Operation{
		Do: OperateAssign, Desktop: row.Desktop, To: Who{Directory: row.Directory, User: row.User}, Why: why,
	})
}

// operate does what an operator says, with the row that names him.
func (b *Broker) operate(ctx context.Context, kind, by, desktop, text string, o Operation) error {
	row := b.operatorRow(ctx, kind, by)
	row.Duration = sinceArrival(time.Now())
	row.Desktop, row.Reason = clip(desktop), []string{text}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return b.o.Store.Operate(ctx, o, row)
}
