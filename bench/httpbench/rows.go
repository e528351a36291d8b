package httpbench

import "time"

// Report is what a run saw.
type Report struct {
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Length   time.Duration     `json:"length_ns"` // of each measurement
	Notes    []string          `json:"notes,omitempty"`
	Rows     []Row             `json:"rows"`
}

// Row is one kind of traffic.
type Row struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Unit    string   `json:"unit"`
	Figures []Figure `json:"figures"`
	Gates   []Gate   `json:"gates,omitempty"`
}

// Figure is what one server showed.
type Figure struct {
	Server string    `json:"server"`
	Value  float64   `json:"value"`            // the median
	Runs   []float64 `json:"runs,omitempty"`   // in the order of the rounds
	System float64   `json:"system,omitempty"` // the share of Value that is system time
}

// Gate is a limit of the project, and whether this run keeps it.
type Gate struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	// Low and High are the quartiles of the ratios, where the value is their median.
	Low     float64 `json:"low,omitempty"`
	High    float64 `json:"high,omitempty"`
	AtLeast bool    `json:"at_least,omitempty"` // the limit is a lower one
	Holds   bool    `json:"holds"`
}

// Missed lists the gates that do not hold.
func (r *Report) Missed() []string {
	var out []string
	for _, row := range r.Rows {
		for _, g := range row.Gates {
			if !g.Holds {
				out = append(out, row.Name+": "+g.text())
			}
		}
	}
	return out
}

// workload is the traffic of a CPU row.
type workload struct {
	id, name string
	path     string
	size     int // of the answer's body
	body     int // of the request's; POST when it has one
	conns    int
	tls      bool
	fresh    bool               // a TLS connection for each request
	limits   map[string]float64 // largest ratio to each peer
	allocs   bool               // count them beside it
}

// workloads are the CPU rows with the project's gates.
func workloads() []workload {
	both := func(limit float64) map[string]float64 { return map[string]float64{haproxy: limit, nginx: limit} }
	return []workload{
		{id: "1k", name: "1 KB, 64 connections", path: smallFile, size: 1 << 10, conns: 64, limits: both(1.10), allocs: true},
		{id: "1k-512", name: "1 KB, 512 connections", path: smallFile, size: 1 << 10, conns: 512, limits: both(1.15)},
		{id: "64k", name: "64 KB, 64 connections", path: largeFile, size: 64 << 10, conns: 64, limits: map[string]float64{haproxy: 1.10}},
		{id: "tls", name: "TLS kept alive, 1 KB, 32 connections", path: smallFile, size: 1 << 10, conns: 32, tls: true, limits: both(1.15)},
		{id: "tls-new", name: "full TLS handshake for each request", path: smallFile, size: 1 << 10, conns: 16, tls: true, fresh: true, limits: map[string]float64{haproxy: 1.10}},
		{id: "post", name: "POST of 4 KB, 64 connections", path: postPath, body: 4 << 10, conns: 64},
	}
}

// RowIDs are the names by which rows can be asked for.
func RowIDs() []string {
	var ids []string
	for _, w := range workloads() {
		ids = append(ids, w.id)
	}
	return append(ids, rowLatency, rowIdle, rowSlow, rowStream)
}

const (
	rowLatency = "latency"
	rowIdle    = "idle"
	rowSlow    = "slow"
	rowStream  = "tcp"
)

// Limits of the rows that are no CPU rows.
const (
	maxAllocs   = 0.1 // per request: what opening connections costs is in it
	maxResident = 150 // MB
	minStream   = 0.9 // of HAProxy's throughput
)
