package broker

import (
	"context"
	"time"
)

// InventoryStore is the part of a Store that centers and assignments come through. All of its writes
// and ReplaceSetup follow each other: none sees the half of another one.
type InventoryStore interface {
	// CenterDesktops lists the desktops of a center, the vanished ones too.
	CenterDesktops(ctx context.Context, center string) ([]CenterDesktop, error)
	// ApplyScan writes one batch of a scan and places its desktops in pools. A desktop keeps its row
	// by Key; a name that a desktop of another source has is left alone and returned. ErrNotFound
	// when the setup has no such center any more.
	ApplyScan(ctx context.Context, batch ScanBatch) (taken []string, err error)
	// EndScan records how the newest scan of a center ended. ErrNotFound as above.
	EndScan(ctx context.Context, center string, end ScanEnd) error
	// Centers lists the centers of the setup with their newest scans, by name.
	Centers(ctx context.Context) ([]CenterStatus, error)
	// ConfirmVanish lets the next scan of a center mark as many desktops as the newest one waits to
	// mark, and returns their number. ErrConflict when it waits for nothing, ErrNotFound.
	ConfirmVanish(ctx context.Context, center string, log LogRow) (int, error)
	// Desktops lists desktops by name, also those that have vanished.
	Desktops(ctx context.Context, f DesktopFilter) ([]DesktopStatus, error)
	// SetMaintenance takes a center's desktop out of use, or gives it back to what its center says; no
	// scan changes that. ErrNotFound, and ErrConflict for a desktop of the setup, which says itself
	// what its state is, and for one that is to come back and is not in maintenance.
	SetMaintenance(ctx context.Context, desktop string, on bool, why string, log LogRow) error
	// RefreshPools places all desktops anew and returns how many stand in another pool now.
	RefreshPools(ctx context.Context) (moved int, err error)
	// ImportAssignments judges every assignment and, unless one is refused or dryRun is set, makes
	// them all. One without a user takes the desktop from whom an import gave it to.
	ImportAssignments(ctx context.Context, list []Assignment, dryRun bool, log LogRow) ([]AssignmentVerdict, error)
	// ImportedAssignments lists those that imports have made and that still stand, by desktop.
	ImportedAssignments(ctx context.Context) ([]Assignment, error)
}

// CenterDesktop is a desktop as the newest scan of its center left it.
type CenterDesktop struct {
	Machine
	Missing bool
}

// ScanBatch is a part of what a scan changes.
type ScanBatch struct {
	Center   string
	Machines []Machine // new, changed or back again
	Vanished []string  // keys
}

// ScanEnd is how a scan ended.
type ScanEnd struct {
	Error   string // empty: it was read and written
	Result  string // one line
	Found   int    // machines that it lists
	Waiting int    // desktops that it would mark as vanished, and that an operator has to confirm
}

// CenterStatus is what is known of a center.
type CenterStatus struct {
	Name      string
	Desktops  int // not vanished
	Vanished  int
	Scanned   time.Time // end of the newest scan that succeeded; zero: none
	Result    string    // of that one
	Failed    time.Time // end of the newest scan that failed; zero: none
	Error     string    // of that one
	Waiting   int       // as ScanEnd
	Confirmed int       // how many of them an operator has confirmed
}

// Verdicts on an assignment of an import.
const (
	AssignAdd     = "add"
	AssignChange  = "change" // the desktop was somebody else's by an earlier import
	AssignSame    = "same"
	AssignRemove  = "remove"
	AssignRefused = "refused"
)

// AssignmentVerdict is what an import does with one assignment.
type AssignmentVerdict struct {
	Verdict string
	Why     string // of a refusal; whose it was of a change
	Cure    string // of a refusal
}

// AssignmentFacts are what a verdict depends on.
type AssignmentFacts struct {
	Known     bool   // there is such a desktop
	Pool      string // in which it stands
	Pooled    bool
	Owner     Who  // whose it is; zero: nobody's
	FromSetup bool // the setup says so
	HeldBy    Who  // who has it out of a pool right now; zero: nobody
}

// Judge decides on an assignment.
func (f AssignmentFacts) Judge(a Assignment) AssignmentVerdict {
	to := Who{Directory: a.Directory, User: a.User}
	refused := func(why, cure string) AssignmentVerdict {
		return AssignmentVerdict{Verdict: AssignRefused, Why: why, Cure: cure}
	}
	switch {
	case !f.Known:
		return refused("there is no desktop "+quoted(a.Desktop), "check the name, or scan the center that should bring it")
	case f.Owner == to && a.User != "", f.Owner == Who{} && a.User == "":
		return AssignmentVerdict{Verdict: AssignSame}
	case f.FromSetup:
		return refused("the setup assigns it to "+quoted(f.Owner.User), "change the [[assignment]] in the setup")
	case a.User == "":
		return AssignmentVerdict{Verdict: AssignRemove, Why: "it was " + quoted(f.Owner.User) + "'s"}
	case f.Pooled:
		return refused("it stands in pooled desktop pool "+quoted(f.Pool)+" and can belong to nobody", "put it into a pool of kind assigned")
	case f.HeldBy != (Who{}) && f.HeldBy != to:
		return refused("user "+quoted(f.HeldBy.User)+" works on it", "import it again after he has logged out")
	case f.Owner != Who{}:
		return AssignmentVerdict{Verdict: AssignChange, Why: "it was " + quoted(f.Owner.User) + "'s"}
	}
	return AssignmentVerdict{Verdict: AssignAdd}
}
