package mode

import "time"

// Mode is how a broker serves.
type Mode string

// The modes of a broker.
const (
	Normal     Mode = "normal"     // from the database
	HostCache  Mode = "hostcache"  // from its copy of the configuration (HC1)
	Leased     Mode = "leased"     // from what was brokered before (LS1)
	Recovering Mode = "recovering" // from its files still, while what it did is merged
	Draining   Mode = "draining"   // not at all: others do
)

// Local says whether logins are served from the broker's own files.
func (m Mode) Local() bool { return m == HostCache || m == Leased || m == Recovering }

// outage says whether the database is not used at all.
func (m Mode) outage() bool { return m == HostCache || m == Leased }

// Facts are what is known at a moment.
type Facts struct {
	// Answered is when the database last took a write.
	Answered time.Time
	// Good is since when the database has answered every question; zero: the newest one failed.
	Good time.Time
	// Why is what the newest failure was.
	Why string
	// Peer is a broker of this cluster whose database has answered since this broker's has not, or "".
	Peer string
	// Cache and Leases say what there is to serve from.
	Cache, Leases Source
	// Unmerged is how many acts of an outage are not in the database yet.
	Unmerged int
	// Force is what an operator has said, or nil.
	Force *Force
	// Winner is the one broker that serves in an outage; empty: every one does.
	Winner string
	Self   string // the name of this broker, as Winner
}

// Source is something to serve from.
type Source struct {
	Usable bool
	Why    string // it is not
}

// Force is an operator's word.
type Force struct {
	On    bool // in outage mode; else out of it
	By    string
	Why   string
	Until time.Time // zero: until it is taken back
}

// Holds says whether there is a word, and its time is not over.
func (f *Force) Holds(now time.Time) bool {
	return f != nil && (f.Until.IsZero() || now.Before(f.Until))
}

// State is the mode with what led to it. The zero State is that of a broker that starts.
type State struct {
	Mode   Mode
	Since  time.Time
	Reason string
	// Refuses says why this broker serves nobody although its mode would; empty: it serves.
	Refuses string
	// Outages are the beginnings of outages that the hold-down still counts.
	Outages []time.Time
	// Hold is until when the outage lasts at least, because the database flaps.
	Hold time.Time
}

// Serves says whether logins are taken.
func (s State) Serves() bool { return s.Mode != Draining && s.Refuses == "" }

// WhyNot says why no logins are taken; empty: they are.
func (s State) WhyNot() string {
	switch {
	case s.Serves():
		return ""
	case s.Refuses != "":
		return s.Refuses
	}
	return s.Reason
}

// Profile is how patient a broker is with its database.
type Profile struct {
	Name   string
	Beat   time.Duration // between two questions to the database
	Wait   time.Duration // for an answer
	Lost   time.Duration // without an answer: the database is lost
	Stable time.Duration // of answers, before the outage ends

	Flaps      int           // as many outages
	FlapWithin time.Duration // within so long
	Hold       time.Duration // hold the database down for so long
}

// Fast is the profile by default: an outage begins 2 s after the last answer, which is at most 3 s
// after the database was lost (DC4).
func Fast() Profile {
	return Profile{
		Name: "fast", Beat: 500 * time.Millisecond, Wait: 700 * time.Millisecond, Lost: 2 * time.Second, Stable: 30 * time.Second,
		Flaps: 3, FlapWithin: 10 * time.Minute, Hold: 10 * time.Minute,
	}
}

// Citrix has the times of the original: a heartbeat every 20 s, lost after 40 s (HC4).
func Citrix() Profile {
	p := Fast()
	p.Name, p.Beat, p.Wait, p.Lost = "citrix", 20*time.Second, 20*time.Second, 40*time.Second
	return p
}

// Named finds a profile; ok is false when there is none of that name.
func Named(name string) (p Profile, ok bool) {
	for _, p := range []Profile{Fast(), Citrix()} {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}
