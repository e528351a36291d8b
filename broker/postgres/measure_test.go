package postgres

import (
	"slices"
	"strconv"
	"testing"

	"switchpoint/broker"
)

// plansAtOnce: a login after a setup of many desktops is planned for them, not for the empty inventory
// that there was before.
func plansAtOnce(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	fill(t, s, 3000)
	key, log := []any{"", []byte("mac"), int64(1)}, logArgs(broker.LogRow{ID: newID()})
	args := slices.Concat([]any{"local", "anna", []string{"pool"}, []int32{1}}, log, key,
		[]any{newID(), record("anna").NewSession.TokenHash[:], 1, "", "", "[]", int64(1), "", int64(1), int64(0)})
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		plan := explain(t, s, mode, loginSQL, args)
		m := pagesRead.FindStringSubmatch(plan)
		if m == nil {
			t.Fatalf("no pages in\n%s", plan)
		}
		if hit, _ := strconv.Atoi(m[1]); hit == 0 || hit > maxPages {
			t.Errorf("%s: %d pages:\n%s", mode, hit, plan)
		}
	}
}
