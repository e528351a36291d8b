package logins

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Roles of client processes.
const (
	// thin clients; prints loadReady, waits for a line, then prints a Result. Another line ends it early.
	roleClients = "clients"
	roleSteps   = "steps" // clients of a profile, the same way
	roleLDAP    = "ldap"  // raw search + bind in a closed loop, the same way
	roleSlow    = "slow"  // the directory behind a slow door; prints loadReady and serves until its input ends
)

// task is what a run tells one of its processes.
type task struct {
	Role  string `json:"role"`
	Users int    `json:"users,omitempty"` // that sign in, in turns
	First int    `json:"first,omitempty"` // number of the first login: whose turn it is

	// How many and when: an open loop of Rate for For; or Count logins of it; or, with Clients, a
	// closed loop.
	Rate    float64       `json:"rate,omitempty"`
	Poisson bool          `json:"poisson,omitempty"` // arrivals at random, else evenly
	For     time.Duration `json:"for,omitempty"`
	Count   int           `json:"count,omitempty"`
	Clients int           `json:"clients,omitempty"`
	Seed    uint64        `json:"seed,omitempty"`

	// Thin clients.
	DNS     string   `json:"dns,omitempty"`     // ip:port; empty: Targets are asked themselves
	Name    string   `json:"name,omitempty"`    // to resolve, and of the certificate
	Port    string   `json:"port,omitempty"`    // of the address that DNS gives
	Targets []string `json:"targets,omitempty"` // ip:port, in turns
	TLS     bool     `json:"tls,omitempty"`
	CA      string   `json:"ca,omitempty"`
	Kept    int      `json:"kept,omitempty"`    // connections that are kept; 0: one for each login
	Journey bool     `json:"journey,omitempty"` // go on: offers, connect, logout
	Stay    bool     `json:"stay,omitempty"`    // with Journey: connect and remain signed in
	Key     bool     `json:"key,omitempty"`     // send an Idempotency-Key, as our own client does
	Busy    bool     `json:"busy,omitempty"`    // "busy" is an answer, not a failure

	// Steps.
	Profile *Profile          `json:"profile,omitempty"`
	Vars    map[string]string `json:"vars,omitempty"`
	People  string            `json:"people,omitempty"` // CSV file

	// LDAP: the raw search and bind, and the slow door.
	LDAP    string  `json:"ldap,omitempty"`    // ip:port of LDAPS
	Service string  `json:"service,omitempty"` // file with the password of the service account
	Listen  string  `json:"listen,omitempty"`
	Cert    string  `json:"cert,omitempty"`
	KeyFile string  `json:"key_file,omitempty"`
	PerSec  float64 `json:"per_sec,omitempty"` // binds

	enough <-chan struct{} // closed: no login begins any more; nil: For and Count say so alone
}

// loadReady says that everything is prepared.
type loadReady struct {
	Ready bool   `json:"ready"`
	Addr  string `json:"addr,omitempty"`
}

// Perform plays one of the processes of a run: the hidden side of the command.
func Perform(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if _, err := raiseDescriptors(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin, enough := make(chan struct{}), make(chan struct{})
	t.enough = enough
	go func() { // it lives as long as standard input does, which is the process
		in := bufio.NewReader(stdin)
		for _, told := range []chan struct{}{begin, enough} {
			if _, err := in.ReadString('\n'); err != nil {
				break
			}
			close(told)
		}
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	tell := func(v any) error { return json.NewEncoder(stdout).Encode(v) }
	// ready tells the parent, and returns when that says "go".
	ready := func(addr string) error {
		if err := tell(loadReady{Ready: true, Addr: addr}); err != nil {
			return err
		}
		select {
		case <-begin:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var result *Result
	var err error
	switch t.Role {
	case roleClients:
		result, err = runClients(ctx, t, ready)
	case roleSteps:
		result, err = runSteps(ctx, t, ready)
	case roleLDAP:
		result, err = runRawLDAP(ctx, t, ready)
	case roleSlow:
		return serveSlowly(ctx, t, func(addr string) error { return tell(loadReady{Ready: true, Addr: addr}) })
	default:
		return fmt.Errorf("unknown role %q", t.Role)
	}
	if err == nil {
		err = tell(result)
	}
	if err != nil {
		return err
	}
	<-ctx.Done() // the parent still reads how much CPU this process has used
	return nil
}
