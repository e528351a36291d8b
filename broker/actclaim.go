package broker

import (
	"fmt"
	"time"
)

// ClaimFound is what stands in the database where an ActConnect says that a user was given a pooled
// desktop. Between the two, brokers that had the database may have released and given it out.
type ClaimFound struct {
	Desktop   string // its name
	Gone      bool   // it was deleted
	Resetting bool   // it is being reset for its next user
	// Holder has the claim, zero: nobody. Session is the one of his that holds it, signed in at Since.
	Holder  Who
	Session string
	Since   time.Time
	Instead string // the desktop that the user holds in its place, by now
	Ended   bool   // the session that was given it has been signed out
}

// ClaimStep is what a store does about the claim.
type ClaimStep int

// Steps.
const (
	ClaimLeave   ClaimStep = iota // nothing: it is right as it is
	ClaimTake                     // the session holds it, and what would end it is taken back
	ClaimRelease                  // the session holds it, and gives it back as its sign-out would have done
)

// Merge decides. A desktop that belongs to somebody else is never taken from him: ErrConflict, with the
// reason. Of two sessions of one user, one that signed in after this connect has connected after it.
func (f ClaimFound) Merge(a *Act) (ClaimStep, error) {
	free := f.Holder == Who{}
	switch {
	case f.Ended && f.Holder != a.Session.Who:
		return ClaimLeave, nil
	case !free && f.Holder != a.Session.Who:
		return ClaimLeave, fmt.Errorf("%w: desktop %s was given to %s of %s meanwhile", ErrConflict, f.Desktop, f.Holder.User, f.Holder.Directory)
	case !free && f.Session != a.Session.ID && f.Since.After(a.At):
		return ClaimLeave, nil
	case !free && f.Ended:
		return ClaimRelease, nil
	case !free:
		return ClaimTake, nil
	case f.Gone:
		return ClaimLeave, fmt.Errorf("%w: desktop %s is not there any more", ErrConflict, f.Desktop)
	case f.Resetting:
		return ClaimLeave, fmt.Errorf("%w: desktop %s was released meanwhile, and is being reset", ErrConflict, f.Desktop)
	case f.Instead != "":
		return ClaimLeave, fmt.Errorf("%w: desktop %s was released meanwhile, and the user holds %s in its place", ErrConflict, f.Desktop, f.Instead)
	}
	return ClaimTake, nil
}
