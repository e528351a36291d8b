package isalive

import "strings"

// The modes that a broker says in HeaderMode. Only one in ModeNormal works with its database.
const (
	ModeNormal     = "normal"
	ModeHostCache  = "hostcache"
	ModeLeased     = "leased"
	ModeRecovering = "recovering"
	ModeDraining   = "draining" // it steps aside for brokers that still have the database
	ModeStopped    = "stopped"
)

// Normal says whether mode, as HeaderMode has it, is that of a target that works normally. A balancer
// that names normal among the modes of its pool does (LB11).
func Normal(mode string) bool {
	if mode == ModeNormal {
		return true
	}
	for one := range strings.SplitSeq(mode, ",") {
		if strings.TrimSpace(one) == ModeNormal {
			return true
		}
	}
	return false
}

// Abnormal says whether mode is that of a target that works otherwise. One that says nothing of a mode,
// as of one that was not asked yet, is neither: nobody knows.
func Abnormal(mode string) bool { return mode != "" && !Normal(mode) }

// StepsAside says whether mode is that of a target that leaves its work to others, or of a balancer all
// of whose members do.
func StepsAside(mode string) bool {
	for one := range strings.SplitSeq(mode, ",") {
		if one = strings.TrimSpace(one); one != ModeDraining && one != ModeStopped {
			return false
		}
	}
	return true
}

// ModeLabel gives what a metric calls a mode, so that no target can make up series: the mode where it
// is a known one, "several" for the list of a balancer, "" where nothing was said, else "other".
func ModeLabel(mode string) string {
	switch mode {
	case "", ModeNormal, ModeHostCache, ModeLeased, ModeRecovering, ModeDraining, ModeStopped:
		return mode
	}
	if strings.Contains(mode, ",") {
		return "several"
	}
	return "other"
}
