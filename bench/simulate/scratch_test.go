package simulate

import (
	"encoding/json"
	"os"
	"testing"
)

// TestScratch merges reports: MERGE=a.json of published, b.json of ours
func TestScratch(t *testing.T) {
	if os.Getenv("MERGE") == "" {
		return
	}
	read := func(name string) *Report {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := &Report{}
		if err := json.Unmarshal(text, r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	pub, own := read("/tmp/pub.json"), read("/tmp/own.json")
	all := &Report{Seeds: pub.Seeds, Length: pub.Length, Delay: pub.Delay, Policies: append(own.Policies, pub.Policies...)}
	for i, s := range pub.Scenarios {
		m := Scenario{ID: s.ID, Name: s.Name, Rows: append(own.Scenarios[i].Rows, s.Rows...)}
		m.judge()
		all.Scenarios = append(all.Scenarios, m)
	}
	f, _ := os.Create("/tmp/merged.svg")
	all.SVG(f)
	f.Close()
	f, _ = os.Create("/tmp/merged.txt")
	all.Write(f)
	f.Close()
	f, _ = os.Create("/tmp/merged.json")
	json.NewEncoder(f).Encode(all)
	f.Close()
}

func TestScratchOwn(t *testing.T) {
	if os.Getenv("OWN") == "" {
		return
	}
	r, err := Run(t.Context(), Options{Policies: []string{ourMethod}})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := os.Create("/tmp/own.json")
	json.NewEncoder(f).Encode(r)
	f.Close()
	f, _ = os.Create("/tmp/own.txt")
	r.Write(f)
	f.Close()
}
