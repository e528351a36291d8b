package broker

import (
	"context"
	"fmt"
)

// What an Operation does.
const (
	OperateBlock       = "block"       // Blocks begin
	OperateLift        = "lift"        // the blocks of Keys end
	OperateMaintenance = "maintenance" // Desktop goes out of use
	OperateRelease     = "release"     // and comes back
	OperateAssign      = "assign"      // Desktop becomes that of To
)

// NotMerged is the code of the log row of an operation that counted in an outage, and that the database has
// refused when it was merged.
const NotMerged = "not-merged"

// Operation is what an operator says about one user or one desktop. A broker takes it without its database,
// too (OP5): then it stands in the journal as an ActOperator, and the database judges it once more when it
// is merged. A block that was made because of too many failures is one, too; nobody has said that one.
type Operation struct {
	Do      string       `json:"do"`
	Desktop string       `json:"desktop,omitempty"` // its name
	To      Who          `json:"to,omitzero"`
	Why     string       `json:"why,omitempty"` // as DesktopStatus has it
	Blocks  []LimitBlock `json:"blocks,omitempty"`
	Keys    []LimitKey   `json:"keys,omitempty"`
}

// OperatorStore is the part of a Store by which an operator works on one user or one desktop.
type OperatorStore interface {
	// Operate does what o says and writes the row. ErrNotFound when there is no such desktop. ErrConflict
	// with the reason when it cannot be done: a desktop that is not in maintenance is not released, and one
	// that is somebody's, or that somebody works on, is given to nobody else. Unlike SetMaintenance it takes
	// desktops of the setup out of use as well, until the next setup says what their state is.
	Operate(ctx context.Context, o Operation, log LogRow) error
}

// Assignable says whether the desktop of an OperateAssign can be given away, and whether there is
// anything to do: it never takes one from anybody.
func (o Operation) Assignable(f AssignmentFacts) (give bool, err error) {
	v := f.Judge(Assignment{User: o.To.User, Directory: o.To.Directory, Desktop: o.Desktop})
	switch {
	case !f.Known:
		return false, fmt.Errorf("%w: %s; %s", ErrNotFound, v.Why, v.Cure)
	case v.Verdict == AssignSame:
		return false, nil
	case v.Verdict == AssignAdd:
		return true, nil
	case v.Verdict == AssignRefused:
		return false, fmt.Errorf("%w: desktop %q: %s; %s", ErrConflict, o.Desktop, v.Why, v.Cure)
	}
	return false, fmt.Errorf("%w: desktop %q is user %s's", ErrConflict, o.Desktop, quoted(f.Owner.User))
}

// Releasable refuses to end a maintenance that is none.
func (o Operation) Releasable(state string) error {
	if o.Do == OperateRelease && state != DesktopMaintenance {
		return fmt.Errorf("%w: desktop %q is not in maintenance, it is %s", ErrConflict, o.Desktop, state)
	}
	return nil
}
