package httpbench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// task is what a run tells one of its client processes.
type task struct {
	Role   string        `json:"role"`
	Target string        `json:"target"` // ip:port; of the source where it listens
	Path   string        `json:"path,omitempty"`
	Size   int           `json:"size,omitempty"` // of the body that must come
	Conns  int           `json:"conns,omitempty"`
	Rate   float64       `json:"rate,omitempty"` // requests a second
	For    time.Duration `json:"for,omitempty"`
	CA     string        `json:"ca,omitempty"` // PEM file
}

// Roles of client processes.
const (
	roleLoad       = "load"       // open loop; prints a loadResult at its end
	roleHandshakes = "handshakes" // closed loop, a TLS connection a request; prints a countResult
	roleIdle       = "idle"       // opens connections and keeps them; prints a crowdResult, and another at its end
	roleSlow       = "slow"       // the same, sending a byte a second on each
	roleSource     = "source"     // sends without end to whoever connects; prints "{}" once it listens
	roleSink       = "sink"       // reads one stream; prints a countResult
)

// loadResult is what an open loop saw.
type loadResult struct {
	Sent   int64         `json:"sent"`
	Failed int64         `json:"failed"`
	Error  string        `json:"error,omitempty"` // the first one
	P50    time.Duration `json:"p50"`
	P99    time.Duration `json:"p99"`
}

// countResult is what a closed loop did.
type countResult struct {
	N    int64         `json:"n"` // requests, or bytes
	Took time.Duration `json:"took"`
}

// crowdResult says how many connections are open.
type crowdResult struct {
	Open int `json:"open"`
}

// Perform plays one of the client processes of a run: the hidden side of the command.
func Perform(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // it lives as long as standard input does, which is the process
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	tell := func(v any) error { return json.NewEncoder(stdout).Encode(v) }
	switch t.Role {
	case roleLoad:
		return told(tell)(openLoop(t))
	case roleHandshakes:
		return told(tell)(handshakes(ctx, t))
	case roleSink:
		return told(tell)(sink(ctx, t))
	case roleSource:
		return source(ctx, t, tell)
	case roleIdle, roleSlow:
		return crowd(ctx, t, tell)
	default:
		return fmt.Errorf("unknown role %q", t.Role)
	}
}

// told prints a result unless there is an error.
func told(tell func(any) error) func(any, error) error {
	return func(v any, err error) error {
		if err != nil {
			return err
		}
		return tell(v)
	}
}
