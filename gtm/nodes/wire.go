package nodes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
	"unicode"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

// The methods that gtm nodes call of each other.
const (
	methodReport   = "gtm.report"
	methodOperator = "gtm.operator"
)

// Bounds of a report. Peers are trusted, but their faults must not spread.
const (
	maxMessage  = 1 << 20   // bytes, as package peer has it
	fillMessage = 960 << 10 // where a part is full
	maxParts    = 1000
	maxAddress  = 300
	maxMonitor  = 300
	maxWord     = 100
	maxName     = 300 // of a node
	maxReason   = 120
	maxFigure   = 1<<31 - 1
	maxAge      = 100 * 365 * 24 * time.Hour
)

// report is a part of what a node sees. A report whose base is 0 tells everything, another one
// what has changed since the sequence that it names; it counts once all of its parts are there.
type report struct {
	Node  string `json:"node"`  // as it calls itself
	Start uint64 `json:"start"` // drawn at each start of the process: sequences begin again
	Seq   uint64 `json:"seq"`
	Base  uint64 `json:"base,omitempty"`
	Part  int    `json:"part,omitempty"` // from 0
	Parts int    `json:"parts"`
	// Interval is the time between two reports of this node, in milliseconds.
	Interval int64        `json:"interval"`
	Blind    bool         `json:"blind,omitempty"`
	Document steer.Stamp  `json:"document"` // the operators' document that the node has
	Checks   []wireStatus `json:"checks,omitempty"`
}

// wireStatus is the vote of a node on one check.
type wireStatus struct {
	Address string            `json:"a"`
	Monitor string            `json:"m"`
	State   healthcheck.State `json:"s"`
	Traffic bool              `json:"t,omitempty"`
	Age     int64             `json:"g"`           // ms in this state
	TTFB    int64             `json:"f,omitempty"` // us
	Steady  int64             `json:"k,omitempty"` // s
	Load    *wireLoad         `json:"l,omitempty"`
	Reason  string            `json:"r,omitempty"`
}

type wireLoad struct {
	Active   int    `json:"a"`
	Capacity int    `json:"c"`
	Mode     string `json:"m,omitempty"`
	Weight   int    `json:"w,omitempty"`
}

// reportAnswer is what the one who was told says.
type reportAnswer struct {
	Seen     uint64      `json:"seen"`           // the sequence up to which it knows everything
	Full     bool        `json:"full,omitempty"` // it lacks the base of the report
	Document steer.Stamp `json:"document"`
}

// toWire makes a vote ready to be sent at a time.
func (v vote) toWire(k healthcheck.Key, now time.Time) wireStatus {
	w := wireStatus{
		Address: k.Address, Monitor: k.Monitor, State: v.state, Traffic: v.traffic,
		Age: max(0, now.Sub(v.since).Milliseconds()), TTFB: v.ttfb.Microseconds(),
		Steady: int64(v.steady / time.Second), Reason: v.reason,
	}
	if v.since.IsZero() {
		w.Age = 0
	}
	if v.load != noLoad {
		w.Load = &wireLoad{v.load.Active, v.load.Capacity, v.load.Mode, v.load.Weight}
	}
	return w
}

// vote is what was received at a time.
func (w wireStatus) vote(now time.Time) vote {
	v := vote{
		state: w.State, traffic: w.Traffic, since: now.Add(-time.Duration(w.Age) * time.Millisecond), at: now,
		ttfb: time.Duration(w.TTFB) * time.Microsecond, steady: time.Duration(w.Steady) * time.Second,
		load: noLoad, reason: legible(w.Reason),
	}
	if w.Load != nil {
		v.load = healthcheck.Load{Active: w.Load.Active, Capacity: w.Load.Capacity, Mode: legible(w.Load.Mode), Weight: w.Load.Weight}
	}
	return v
}

// encode writes a report in as many parts as it takes. Its own Checks, Part and Parts do not count.
func (r report) encode(checks []wireStatus) ([][]byte, error) {
	chunks, size := [][][]byte{nil}, 0
	for i := range checks {
		b, err := json.Marshal(&checks[i])
		if err != nil {
			return nil, fmt.Errorf("encode a report: %w", err)
		}
		if size += len(b) + 1; size > fillMessage {
			chunks, size = append(chunks, nil), len(b)+1
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], b)
	}
	r.Checks, r.Parts = nil, len(chunks)
	parts := make([][]byte, len(chunks))
	for i, chunk := range chunks {
		r.Part = i
		head, err := json.Marshal(&r)
		if err != nil {
			return nil, fmt.Errorf("encode a report: %w", err)
		}
		var b bytes.Buffer
		b.Write(head[:len(head)-1])
		b.WriteString(`,"checks":[`)
		b.Write(bytes.Join(chunk, []byte(",")))
		b.WriteString("]}")
		parts[i] = b.Bytes()
	}
	return parts, nil
}

// decodeReport reads a part of a report that a peer sent. Fields that it does not know are passed
// over: the other node may be newer.
func decodeReport(body []byte) (*report, error) {
	if len(body) > maxMessage {
		return nil, fmt.Errorf("a report of %d bytes is too long", len(body))
	}
	var r report
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	switch {
	case r.Node == "" || len(r.Node) > maxName || r.Node != legible(r.Node):
		return nil, errors.New("the report does not say of which node it is")
	case r.Start == 0 || r.Seq == 0 || r.Base > r.Seq:
		return nil, fmt.Errorf("sequence %d after %d of start %d is none", r.Seq, r.Base, r.Start)
	case r.Parts < 1 || r.Parts > maxParts || r.Part < 0 || r.Part >= r.Parts:
		return nil, fmt.Errorf("part %d of %d is none", r.Part, r.Parts)
	case !legibleStamp(r.Document):
		return nil, errors.New("the version of its document is none")
	case r.Interval < 0 || time.Duration(r.Interval) > maxInterval/time.Millisecond:
		return nil, fmt.Errorf("an interval of %d ms is not possible", r.Interval)
	}
	for i := range r.Checks {
		if err := r.Checks[i].validate(); err != nil {
			return nil, fmt.Errorf("check %d of the report: %w", i, err)
		}
	}
	return &r, nil
}

func (w *wireStatus) validate() error {
	figure := func(n, least int64) bool { return n >= least && n <= maxFigure }
	switch {
	case w.Address == "" || len(w.Address) > maxAddress:
		return fmt.Errorf("its address is missing or longer than %d bytes", maxAddress)
	case w.Monitor == "" || len(w.Monitor) > maxMonitor:
		return fmt.Errorf("its monitor is missing or longer than %d bytes", maxMonitor)
	case len(w.Reason) > maxReason:
		return fmt.Errorf("a reason of %d bytes is too long", len(w.Reason))
	case w.Age < 0 || w.Age > maxAge.Milliseconds():
		return fmt.Errorf("an age of %d ms is not possible", w.Age)
	case !figure(w.TTFB, 0) || w.Steady < 0 || w.Steady > int64(healthcheck.MaxSteady/time.Second):
		return errors.New("its times are not possible")
	}
	l := w.Load
	if l != nil && (!figure(int64(l.Active), -1) || !figure(int64(l.Capacity), -1) || !figure(int64(l.Weight), 0) || len(l.Mode) > maxWord) {
		return errors.New("its load is not possible")
	}
	return nil
}

// legibleStamp says whether a stamp can be shown; that of a node without a document is empty.
func legibleStamp(s steer.Stamp) bool {
	return len(s.Node) <= maxName && s.Node == legible(s.Node)
}

// legible is a text without what cannot be shown.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}

// short cuts a text to what fits a report.
func short(s string, most int) string {
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

// coarse rounds a time down to a power of two of seconds, so that one that runs out does not
// change the report all the time.
func coarse(d time.Duration) time.Duration {
	s := uint64(max(0, d) / time.Second)
	if s == 0 {
		return 0
	}
	return time.Duration(uint64(1)<<(bits.Len64(s)-1)) * time.Second
}
