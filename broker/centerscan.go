package broker

import (
	"fmt"
	"slices"
	"strings"
)

// scanBatch bounds the desktops that one transaction of a scan writes: logins wait for it.
const scanBatch = 200

// scanPlan is what a scan changes.
type scanPlan struct {
	added, changed, back int
	machines             []Machine // all of these
	vanished             []string  // keys
	// waiting counts the vanished desktops that are not marked, because they are too many and
	// nobody has confirmed them.
	waiting int
	reason  string
}

// planScan compares what a center lists with its desktops. It is pure.
//
//	listed, no desktop          add
//	listed, desktop             change what differs; a vanished one is back
//	listed in a row that is     neither: it is there, but nothing that it says is taken over
//	no machine (BadRow)
//	not listed                  vanished, marked with the time; unless that would be more than
//	                            maxVanish percent of the desktops that are there now: then none
//	                            is, until an operator confirms that number
func planScan(have []CenterDesktop, found Inventory, maxVanish, confirmed int) scanPlan {
	var p scanPlan
	rows := make(map[string]*CenterDesktop, len(have))
	present := 0
	for i := range have {
		rows[have[i].Key()] = &have[i]
		if !have[i].Missing {
			present++
		}
	}
	listed := make(map[string]bool, len(found.Machines))
	for i := range found.Machines {
		m := &found.Machines[i]
		listed[m.Key()] = true
		switch row := rows[m.Key()]; {
		case row == nil:
			p.added++
		case row.Missing:
			p.back++
		case !row.equal(m):
			p.changed++
		default:
			continue
		}
		p.machines = append(p.machines, *m)
	}
	names := make(map[string]bool)
	for _, b := range found.Bad {
		listed[b.Key] = true
		names[strings.ToLower(b.Name)] = true
	}
	for i := range have {
		if d := &have[i]; !d.Missing && !listed[d.Key()] && !names[strings.ToLower(d.Name)] {
			p.vanished = append(p.vanished, d.Key())
		}
	}
	if n := len(p.vanished); n*100 > maxVanish*present && n > confirmed {
		p.waiting, p.vanished = n, nil
		p.reason = fmt.Sprintf("%d of %d desktops are not listed any more, which is more than max_vanish (%d %%): they stay until an operator confirms", n, present, maxVanish)
	}
	return p
}

// batches cuts a plan into transactions. Desktops that vanish go first: one that came back under
// another key may have the name of the one that has gone.
func (p *scanPlan) batches(center string) []ScanBatch {
	var out []ScanBatch
	for part := range slices.Chunk(p.vanished, scanBatch) {
		out = append(out, ScanBatch{Center: center, Vanished: part})
	}
	for part := range slices.Chunk(p.machines, scanBatch) {
		out = append(out, ScanBatch{Center: center, Machines: part})
	}
	return out
}

// result is the line for the job and the status of the center.
func (p *scanPlan) result(found Inventory, taken []string) string {
	s := fmt.Sprintf("%d machines: %d new, %d changed, %d back, %d vanished", len(found.Machines), p.added, p.changed, p.back, len(p.vanished))
	if p.reason != "" {
		s += "; " + p.reason
	}
	const shown = 3
	if n := len(taken); n > 0 {
		s += fmt.Sprintf("; %d left out because another source has a desktop of the name: %s", n, strings.Join(taken[:min(n, shown)], ", "))
	}
	if n := len(found.Bad); n > 0 {
		s += fmt.Sprintf("; %d rows are not usable", n)
		for _, b := range found.Bad[:min(n, shown)] {
			s += "; " + b.String()
		}
	}
	return s
}
