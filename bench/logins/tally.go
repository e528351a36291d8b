package logins

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// How a login ended.
const (
	endedWell   = "ok"
	endedBusy   = "busy"   // refused at once because too many wait
	endedFailed = "failed" // anything else
)

// sample is one login.
type sample struct {
	due    time.Duration // since the start of the run: when it was meant to begin
	late   time.Duration // how much later the generator got to it
	login  time.Duration // from due to the offers
	whole  time.Duration // from due to the end of the journey
	end    string
	waited bool // it was told to wait and to ask again
}

// hdrMax is the largest latency that is told from a larger one.
const hdrMax = 10 * time.Minute

// Latency is a distribution, in milliseconds; Histogram is the whole of it (HdrHistogram V2,
// compressed, base64; microseconds).
type Latency struct {
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`
	Max       float64 `json:"max_ms"`
	Histogram string  `json:"histogram,omitempty"`
}

// Second is what happened in one second of a run.
type Second struct {
	Due  int     `json:"due"`  // logins that were meant to begin in it
	Done int     `json:"done"` // that were answered well in it, whenever they began
	P50  float64 `json:"p50_ms,omitempty"`
	P99  float64 `json:"p99_ms,omitempty"` // of those that were due in it
	Max  float64 `json:"max_ms,omitempty"`
}

// Result is what the clients of a run saw.
type Result struct {
	Offered  int            `json:"offered"` // logins that were due
	OK       int            `json:"ok"`
	Busy     int            `json:"busy,omitempty"` // refused at once
	Failed   int            `json:"failed"`
	Waited   int            `json:"waited,omitempty"` // got a place in the queue and asked again
	Broken   int            `json:"broken,omitempty"` // of those: had a place and got no offers
	Errors   map[string]int `json:"errors,omitempty"` // kinds of failures
	Took     time.Duration  `json:"took_ns"`          // from the first that was due to the last answer
	Lateness float64        `json:"lateness_p99_ms"`  // of the generator itself
	Login    Latency        `json:"login"`
	Journey  *Latency       `json:"journey,omitempty"`
	Seconds  []Second       `json:"seconds,omitempty"`
}

// rate is logins answered well in a second.
func (r *Result) rate() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.OK) / r.Took.Seconds()
}

// maxKinds bounds how many kinds of failures are told apart.
const maxKinds = 20

// tally collects samples.
type tally struct {
	mu      sync.Mutex
	samples []sample
	errors  map[string]int
}

func newTally(expected int) *tally {
	return &tally{samples: make([]sample, 0, expected), errors: make(map[string]int)}
}

func (t *tally) add(s sample, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = append(t.samples, s)
	if err == nil {
		return
	}
	kind := err.Error()
	if _, known := t.errors[kind]; !known && len(t.errors) >= maxKinds {
		kind = "others"
	}
	t.errors[kind]++
}

// result sums up. journeys says whether logins went on to the end.
func (t *tally) result(journeys bool) (*Result, error) {
	r := &Result{Errors: t.errors, Offered: len(t.samples)}
	slices.SortFunc(t.samples, func(a, b sample) int { return cmp.Compare(a.due, b.due) })
	login, whole, late := newHistogram(), newHistogram(), newHistogram()
	perSecond := make(map[int][]time.Duration)
	for _, s := range t.samples {
		record(late, s.late)
		r.Took = max(r.Took, s.due+max(s.login, s.whole))
		if s.waited {
			r.Waited++
		}
		second := r.second(s.due)
		second.Due++
		switch s.end {
		case endedWell:
			r.OK++
			record(login, s.login)
			record(whole, s.whole)
			perSecond[int(s.due/time.Second)] = append(perSecond[int(s.due/time.Second)], s.login)
			r.second(s.due+s.login).Done++
			continue
		case endedBusy:
			r.Busy++
		default:
			r.Failed++
		}
		if s.waited {
			r.Broken++
		}
	}
	for i, list := range perSecond {
		slices.Sort(list)
		r.Seconds[i].P50, r.Seconds[i].P99, r.Seconds[i].Max = ms(rank(list, .5)), ms(rank(list, .99)), ms(list[len(list)-1])
	}
	r.Lateness = micros(late.ValueAtQuantile(99))
	var err error
	if r.Login, err = latencyOf(login); err == nil && journeys {
		var l Latency
		l, err = latencyOf(whole)
		r.Journey = &l
	}
	return r, err
}

// second is the one that a moment lies in; the list grows to it.
func (r *Result) second(at time.Duration) *Second {
	i := int(at / time.Second)
	if need := i + 1 - len(r.Seconds); need > 0 {
		r.Seconds = append(r.Seconds, make([]Second, need)...)
	}
	return &r.Seconds[i]
}

// rank is the value below which a share of a sorted list lies.
func rank(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, hdrMax.Microseconds(), 3) }

// record takes what is beyond the range as the end of it.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), hdrMax.Microseconds())) // it is within the range
}

func latencyOf(h *hdrhistogram.Histogram) (Latency, error) {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Latency{}, fmt.Errorf("encode a histogram: %w", err)
	}
	return Latency{
		P50: micros(h.ValueAtQuantile(50)), P90: micros(h.ValueAtQuantile(90)), P99: micros(h.ValueAtQuantile(99)),
		P999: micros(h.ValueAtQuantile(99.9)), Max: micros(h.Max()), Histogram: string(text),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func micros(n int64) float64 { return float64(n) / 1000 }
