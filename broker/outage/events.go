package outage

import (
	"context"
	"log/slog"

	"switchpoint/broker/outage/mode"
)

// Ids of the original's events, for who watches for them (HC5, HC6). It has more: machines register with
// every broker here and stay where they are, so nothing corresponds to 1002, 1014 and 1017.
const (
	eventBack      = 1200 // the database answers again
	eventLost      = 1201 // the database is lost
	eventServe     = 2007 // the files are to serve
	eventServing   = 2008 // they do
	eventSyncAgain = 3000 // the host cache is kept up to date again
	eventFilesDone = 3004 // the files serve no longer
	eventNormal    = 3500 // the broker works with the database
	eventAway      = 3501 // it does not
	eventLeaves    = 3503 // the outage ends
	eventElected   = 3504 // one broker is to serve
)

// event is one line of the log.
type event struct {
	level slog.Level
	text  string
	id    int // 0: the original has none
}

// eventsOf are the lines for a change of mode, in their order. lost says that the newest question to the
// database failed: a drill is no loss.
func eventsOf(was, next mode.Mode, lost bool) []event {
	from, to := serves(was), serves(next)
	switch {
	case to && !from && was != mode.Recovering:
		out := []event{{slog.LevelWarn, "outage: the broker works without the database", eventAway}, {slog.LevelWarn, "outage: logins are served from the files of this broker", eventServe}}
		if lost {
			out = append([]event{{slog.LevelWarn, "outage: the database is lost", eventLost}}, out...)
		}
		return out
	case to && was == mode.Recovering:
		return []event{{slog.LevelWarn, "outage: the database is lost again before all was merged", eventLost}}
	case from && next == mode.Recovering:
		return []event{
			{slog.LevelInfo, "outage: the database answers again", eventBack}, {slog.LevelInfo, "outage: it ends, what was done in it is merged", eventLeaves},
		}
	case from && next == mode.Normal:
		return []event{
			{slog.LevelInfo, "outage: the database answers again", eventBack}, {slog.LevelInfo, "outage: it ends, there is nothing to merge", eventLeaves},
			{slog.LevelInfo, "outage: the broker works with the database", eventNormal},
		}
	case was == mode.Recovering && next == mode.Normal:
		return []event{{slog.LevelInfo, "outage: the broker works with the database", eventNormal}}
	case was == mode.Draining && next == mode.Normal:
		return []event{{slog.LevelInfo, "outage: the database answers again", eventBack}}
	case next == mode.Draining:
		return []event{{slog.LevelWarn, "outage: the broker steps aside", 0}}
	}
	return []event{{slog.LevelWarn, "outage: mode changed", 0}}
}

// serves says whether a mode is one without the database.
func serves(m mode.Mode) bool { return m == mode.HostCache || m == mode.Leased }

// tell logs a change of mode.
func (s *Store) tell(was, next mode.State) {
	s.mu.Lock()
	lost := s.facts.good.IsZero()
	s.mu.Unlock()
	for _, e := range eventsOf(was.Mode, next.Mode, lost) {
		args := []any{"mode", next.Mode, "before", was.Mode, "reason", next.Reason}
		if e.id != 0 {
			args = append(args, "event_id", e.id)
		}
		s.log.Log(context.Background(), e.level, e.text, args...) //nolint:sloglint // the texts are the constants above
	}
}
