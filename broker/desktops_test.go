package broker

import (
	"reflect"
	"testing"
	"time"
)

func TestPoolUses(t *testing.T) {
	at := func(minute int) time.Time { return time.Unix(int64(60*minute), 0).UTC() }
	row := func(minute int, pool string, used int) PoolStatistics {
		return PoolStatistics{At: at(minute), Pool: pool, Total: 9, Used: used, Free: 9 - used}
	}
	got := poolUses([]PoolStatistics{row(1, "a", 2), row(1, "gone", 9), row(2, "a", 7), row(3, "a", 7), row(3, "b", 0), row(4, "a", 1), row(4, "b", 0)})
	want := []PoolUse{{Now: row(4, "a", 1), Most: 7, At: at(2)}, {Now: row(4, "b", 0), Most: 0, At: at(3)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if poolUses(nil) != nil {
		t.Error("no rows make pools")
	}
}
