package choice

import (
	"math"
	"time"
)

const (
	// costFloor is the smallest TTFB that counts: below it members are equal and the number in
	// flight decides.
	costFloor = time.Millisecond
	// idleHalfLife is how fast the memory of a member's slowness fades while others get requests
	// and it gets none.
	idleHalfLife = 3 * time.Second
	// idleGrace is how long a member may go unused before fading starts.
	idleGrace = time.Second
	// idleGaps makes fading slower where requests are rare: half of the memory lasts for at least
	// so many gaps between them.
	idleGaps = 3
	// failureWeight is how much dearer failures make a member: times 5 when a tenth of its
	// requests failed, times 300 when nearly all did.
	failureWeight = 400
	// equalWithin is how much dearer than the cheapest a member may be and still be its equal.
	// Averages of equal members differ by chance: without this the luckiest one would get all.
	equalWithin = 0.1
)

// LeastResponseTime chooses the member with the smallest Cost; what comes close is equal, and
// equals take turns by weight.
func LeastResponseTime(q *Question, among []int) int {
	field := FieldOf(q, among)
	return cheapest(q, among, 1+equalWithin, func(i int) float64 { return field.Cost(q, i) })
}

// Field is what the candidates look like together: it places those without a recent average.
type Field struct {
	class Class
	mean  [MaxClasses]float64 // of the known averages in nanoseconds, 0 when none is known
	least float64             // average of the class, 0 when none is known
	idle  time.Duration       // since any of them got a request of that class
}

// FieldOf looks at the candidates of a question.
func FieldOf(q *Question, among []int) Field {
	f := Field{class: q.Class, idle: math.MaxInt64}
	var n [MaxClasses]int
	for _, i := range among {
		l := &q.Loads[i]
		f.idle = min(f.idle, l.Idle)
		for c := range l.Classes { // without the question's own
			if t := l.Classes[c].TTFB; t > 0 {
				f.mean[c] += float64(t)
				n[c]++
			}
		}
		if l.TTFB > 0 {
			t := float64(l.TTFB)
			f.mean[q.Class] += t
			n[q.Class]++
			if f.least == 0 || t < f.least {
				f.least = t
			}
		}
	}
	for c := range n {
		if n[c] > 0 {
			f.mean[c] /= float64(n[c])
		}
	}
	return f
}

// Cost is the price of sending one more request to a member, in nanoseconds:
//
//	TTFB x (1 + InFlight / weight) x (TTFB / least TTFB)^(1/4) x (1 + failureWeight x Failing^2)
//
// The fourth root makes slower members dearer than their time alone: servers work on several
// requests at once, so a fast one can take some more before anybody waits there, and a slow one
// is slow from the first on. Without it p99 is 4 % higher at 70 % load in the simulator (a square
// root instead is no better at 90 %, and leaves slow members with less to show what they can do).
//
// A request in flight of another class counts as the fourth root of how much slower that class is:
// a sign-in that takes sixteen times as long as a look at the offers weighs as two of those. (It
// holds one thread of many, and waits for the directory more than it works. Both without the root
// and with in-flight alone p99 or p50 of mixed loads are worse in the simulator.)
//
// Without load members of different weight cost the same, and take turns by weight. A slow member
// that gets nothing fades towards half of the best average: it is then tried again by one or two
// requests, which show what it is worth now.
func (f *Field) Cost(q *Question, i int) float64 {
	l := &q.Loads[i]
	t := f.ttfb(l, q.Class)
	if age := l.Idle - f.idle; age > idleGrace {
		if goal := f.least / 2; t > goal {
			half := float64(idleHalfLife) + idleGaps*float64(f.idle)
			t = goal + (t-goal)*math.Exp2(-float64(age-idleGrace)/half)
		}
	}
	t = max(t, float64(costFloor))
	own, ahead := l.InFlight, 0.0
	for c := range l.Classes {
		if n := l.Classes[c].InFlight; n > 0 {
			own -= n
			ahead += float64(n) * fourthRoot(max(float64(costFloor), f.ttfb(l, Class(c)))/t)
		}
	}
	ahead += float64(max(0, own))
	cost := t * (1 + ahead/weightOf(q, i)) * (1 + failureWeight*l.Failing*l.Failing)
	if f.least > 0 {
		cost *= fourthRoot(t / max(float64(costFloor), f.least))
	}
	return cost
}

func fourthRoot(v float64) float64 { return math.Sqrt(math.Sqrt(v)) }

// known is a member's own average for a class, 0 without a sample.
func (f *Field) known(l *Load, class Class) float64 {
	if class == f.class {
		return float64(l.TTFB)
	}
	return float64(l.Classes[class].TTFB)
}

// ttfb is a member's average for a class. Without a sample it is taken as the mean of the others,
// made longer by as much as the member is slower than they are in the classes that it has: so it
// gets a fair share at once and not a flood.
func (f *Field) ttfb(l *Load, class Class) float64 {
	if t := f.known(l, class); t > 0 {
		return t
	}
	slower, known := 0.0, 0.0
	for c := range l.Classes {
		if t := f.known(l, Class(c)); t > 0 && f.mean[c] > 0 {
			slower += max(t, float64(costFloor)) / max(f.mean[c], float64(costFloor))
			known++
		}
	}
	if known == 0 {
		return f.usual(class)
	}
	return f.usual(class) * slower / known
}

// usual is the mean of a class over the candidates; that of the other classes when no candidate
// has a sample of it, else the floor.
func (f *Field) usual(class Class) float64 {
	if m := f.mean[class]; m > 0 {
		return m
	}
	sum, n := 0.0, 0.0
	for _, m := range f.mean {
		if m > 0 {
			sum += m
			n++
		}
	}
	if n == 0 {
		return float64(costFloor)
	}
	return sum / n
}
