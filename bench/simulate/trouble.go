package simulate

import (
	"slices"
	"time"
)

// scene is something that happens at a time that is known before.
type scene struct {
	at int64
	do func()
}

// coldStep is how finely a cold server warms up.
const coldStep = 100 * time.Millisecond

// stage sets up what the scenario has beside clients: trouble at the servers, storms.
func (w *world) stage(length time.Duration) {
	part := func(p float64) int64 { return w.from + int64(p*float64(length)) }
	if w.failer > 0 {
		w.servers[len(w.servers)-1].fails = w.failer
	}
	for i := range w.servers {
		if w.stutter {
			w.servers[i].plant(0)
			w.plan(i)
		}
	}
	if s := w.storm; s.times > 0 {
		calm := w.rate
		w.at(part(s.from), func() { w.rate = calm * s.times })
		w.at(part(s.to), func() { w.rate = calm })
	}
	if s := w.stall; s.lasts > 0 {
		w.at(part(s.at), func() { w.direct(s.speed) })
		w.at(part(s.at)+int64(s.lasts), func() { w.direct(1) })
	}
	if w.absence.back > 0 {
		w.direct(0)
		w.health(false)
		w.at(part(w.absence.back), func() { w.health(true) })
		w.warm(part(w.absence.back))
	}
	slices.SortStableFunc(w.script, func(a, b scene) int { return int(a.at - b.at) })
}

// warm lets the first server come back cold.
func (w *world) warm(back int64) {
	a := w.absence
	steps := int(a.cold / coldStep)
	for i := range steps + 1 {
		speed := a.coldSpeed + (1-a.coldSpeed)*float64(i)/float64(steps)
		w.at(back+int64(i)*int64(coldStep), func() { w.direct(speed) })
	}
}

func (w *world) at(at int64, do func()) { w.script = append(w.script, scene{at, do}) }

// perform plays the next scene.
func (w *world) perform() {
	w.script[0].do()
	w.script = w.script[1:]
}

// direct gives the first server a part of its own speed.
func (w *world) direct(speed float64) {
	v := &w.servers[0]
	w.gauge(v)
	v.scripted = speed
	v.adjust(w.now)
	w.plan(0)
}

// health tells all balancers of the first server.
func (w *world) health(up bool) {
	for _, b := range w.balancers {
		b.health(w.now, 0, up)
	}
}

// gauge adds up what a server could have done in the measured time; it is called before each
// change of speed, and at the end.
func (w *world) gauge(v *server) {
	since := max(w.from, min(v.gauged, w.to))
	v.ability += v.speed * float64(max(w.from, min(w.now, w.to))-since)
	v.gauged = w.now
}
