package gtm

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// flatZone is the text of a zone of n names with an address each, as a provider's would be.
func flatZone(n int) []byte {
	var b bytes.Buffer
	b.WriteString(zoneHead)
	for i := range n {
		fmt.Fprintf(&b, "host-%07d A 10.%d.%d.%d\n", i, i>>16&255, i>>8&255, i&255)
	}
	return b.Bytes()
}

// loadFlat loads a zone and gives the heap that it keeps, in bytes.
func loadFlat(tb testing.TB, text []byte, names int) uint64 {
	tb.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	z, err := parseZone(company, bytes.NewReader(text), "flat.zone", nil)
	if err != nil {
		tb.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(z.nodes) < names {
		tb.Fatalf("only %d names were loaded", len(z.nodes))
	}
	return after.HeapAlloc - before.HeapAlloc
}

// TestLoadMemory: a name with an address takes less than 400 octets, so that a million of them,
// with as much again for the garbage of loading, stay under a gigabyte; and making it takes
// less than half an allocation: allocations would be most of the time of loading.
func TestLoadMemory(t *testing.T) {
	const names = 50_000
	text := flatZone(names)
	if perName := loadFlat(t, text, names) / names; perName > 400 {
		t.Errorf("%d octets a name", perName)
	}
	allocs := testing.AllocsPerRun(1, func() {
		if _, err := parseZone(company, bytes.NewReader(text), "flat.zone", nil); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > names/2 {
		t.Errorf("%.0f allocations for %d names", allocs, names)
	}
}

// BenchmarkLoadMillionNames loads a zone of a million names:
//
//	go test ./gtm -run '^$' -bench LoadMillionNames -benchtime 1x -count 5
func BenchmarkLoadMillionNames(b *testing.B) {
	const names = 1_000_000
	text := flatZone(names)
	var kept uint64
	for b.Loop() {
		kept = loadFlat(b, text, names)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(kept)/names, "B/name")
	b.ReportMetric(float64(m.Sys)/1e6, "MB-from-OS")
}
