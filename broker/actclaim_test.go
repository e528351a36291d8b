package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
)

// TestClaimFound: what a merged connect comes to, whatever became of its desktop meanwhile.
func TestClaimFound(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	anna, bert := broker.Who{Directory: "corp", User: "anna"}, broker.Who{Directory: "corp", User: "bert"}
	act := &broker.Act{Kind: broker.ActConnect, At: at, Session: &broker.Session{ID: "new", Who: anna}}
	hers := broker.ClaimFound{Desktop: "d", Holder: anna, Session: "old", Since: at.Add(-time.Hour)}
	with := func(f broker.ClaimFound, change func(*broker.ClaimFound)) broker.ClaimFound { change(&f); return f }
	free := broker.ClaimFound{Desktop: "d"}
	for _, tc := range []struct {
		name  string
		found broker.ClaimFound
		want  broker.ClaimStep
		why   string // a part of the conflict
	}{
		{"hers, by a session from before", hers, broker.ClaimTake, ""},
		{"hers, by the same session", with(hers, func(f *broker.ClaimFound) { f.Session = "new" }), broker.ClaimTake, ""},
		{"hers, by the same session, of a clock that is ahead", with(hers, func(f *broker.ClaimFound) { f.Session, f.Since = "new", at.Add(time.Second) }), broker.ClaimTake, ""},
		{"hers, by a session from after", with(hers, func(f *broker.ClaimFound) { f.Since = at.Add(time.Second) }), broker.ClaimLeave, ""},
		{"hers, and the session has ended", with(hers, func(f *broker.ClaimFound) { f.Ended = true }), broker.ClaimRelease, ""},
		{"hers, and being reset", with(hers, func(f *broker.ClaimFound) { f.Resetting = true }), broker.ClaimTake, ""},
		{"free", free, broker.ClaimTake, ""},
		{"free, and the session has ended", with(free, func(f *broker.ClaimFound) { f.Ended = true }), broker.ClaimLeave, ""},
		{"free, and she has another one", with(free, func(f *broker.ClaimFound) { f.Instead = "e" }), broker.ClaimLeave, "holds e in its place"},
		{"free, and being reset", with(free, func(f *broker.ClaimFound) { f.Resetting = true }), broker.ClaimLeave, "is being reset"},
		{"deleted", with(free, func(f *broker.ClaimFound) { f.Gone = true }), broker.ClaimLeave, "not there any more"},
		{"deleted, and the session has ended", with(free, func(f *broker.ClaimFound) { f.Gone, f.Ended = true, true }), broker.ClaimLeave, ""},
		{"his", with(hers, func(f *broker.ClaimFound) { f.Holder = bert }), broker.ClaimLeave, "was given to bert of corp"},
		{"his of another directory", with(hers, func(f *broker.ClaimFound) { f.Holder.Directory = "lab" }), broker.ClaimLeave, "was given to anna of lab"},
		{"his, and the session has ended", with(hers, func(f *broker.ClaimFound) { f.Holder, f.Ended = bert, true }), broker.ClaimLeave, ""},
	} {
		got, err := tc.found.Merge(act)
		if got != tc.want || errors.Is(err, broker.ErrConflict) != (tc.why != "") || err != nil && !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %d, %v", tc.name, got, err)
		}
	}
}
