package outage

import (
	"slices"
	"testing"

	"switchpoint/broker/outage/mode"
)

// TestEvents: the ids of the original in the order of its story (HC5, HC6).
func TestEvents(t *testing.T) {
	for _, tc := range []struct {
		was, next mode.Mode
		lost      bool
		want      []int
	}{
		{mode.Normal, mode.HostCache, true, []int{1201, 3501, 2007}},
		{mode.Normal, mode.Leased, true, []int{1201, 3501, 2007}},
		{mode.Draining, mode.HostCache, true, []int{1201, 3501, 2007}},
		{mode.Normal, mode.HostCache, false, []int{3501, 2007}}, // a drill
		{mode.HostCache, mode.Leased, true, []int{0}},
		{mode.Normal, mode.Draining, true, []int{0}},
		{mode.HostCache, mode.Draining, true, []int{0}},
		{mode.Recovering, mode.HostCache, true, []int{1201}},
		{mode.HostCache, mode.Recovering, false, []int{1200, 3503}},
		{mode.Recovering, mode.Normal, false, []int{3500}},
		{mode.HostCache, mode.Normal, false, []int{1200, 3503, 3500}},
		{mode.Draining, mode.Normal, false, []int{1200}},
		{mode.Normal, mode.Recovering, false, []int{0}},
	} {
		var got []int
		for _, e := range eventsOf(tc.was, tc.next, tc.lost) {
			got = append(got, e.id)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s to %s: %v, want %v", tc.was, tc.next, got, tc.want)
		}
	}
}
