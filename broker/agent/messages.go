package agent

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Paths of the protocol, version 1.
const (
	PathEnrol     = "/agent/v1/enrol"
	PathHeartbeat = "/agent/v1/heartbeat"
)

// Bounds of a message.
const (
	MaxBody     = 16 << 10
	MaxSessions = 64
	maxText     = 256 // bytes of a user name or an address
)

// States of a session.
const (
	Active       = "active"
	Disconnected = "disconnected" // the user may come back to it
)

// EnrolRequest is the body of POST /agent/v1/enrol.
type EnrolRequest struct {
	Token string `json:"token"`
	// Desktop is the name or the host of the desktop; it counts with the token of a pool.
	Desktop string `json:"desktop,omitempty"`
}

// EnrolResponse has the key, which is told this once.
type EnrolResponse struct {
	Desktop  string `json:"desktop"` // its name in the inventory
	Key      string `json:"key"`
	Interval int    `json:"interval"` // seconds until the first heartbeat and between two
}

// Session is a session of a user on the desktop.
type Session struct {
	User  string `json:"user"`
	State string `json:"state"` // Active or Disconnected
}

// HeartbeatRequest is the body of POST /agent/v1/heartbeat (Authorization: Bearer KEY).
type HeartbeatRequest struct {
	Version  string    `json:"version,omitempty"`
	Address  string    `json:"address,omitempty"` // of the desktop; default the connection's
	Load     float64   `json:"load"`              // share of the processors in use, 0 to 1; more when work queues up
	Sessions []Session `json:"sessions"`
	// ResetDone is the id of the reset that the desktop has been through.
	ResetDone string `json:"reset_done,omitempty"`
}

// HeartbeatResponse is what the broker wants.
type HeartbeatResponse struct {
	Interval int    `json:"interval"` // seconds until the next heartbeat
	Reset    *Reset `json:"reset,omitempty"`
}

// Reset asks for the desktop to be brought back to its clean state.
type Reset struct {
	ID  string `json:"id"`
	Age int    `json:"age"` // seconds since it was first asked for
}

// Refusal is the body of every answer with a status of 400 and above.
type Refusal struct {
	Reason struct {
		Code       string `json:"code"`
		Text       string `json:"text"`
		RetryAfter int    `json:"retry_after,omitempty"` // seconds
	} `json:"reason"`
}

// Check says what is wrong with a report.
func (r HeartbeatRequest) Check() error {
	switch {
	case len(r.Sessions) > MaxSessions:
		return errors.New("there are more than 64 sessions")
	case math.IsNaN(r.Load) || r.Load < 0 || r.Load > 1e6:
		return errors.New("the load is no number from 0 on")
	case !line(r.Version) || !line(r.Address) || !line(r.ResetDone):
		return errors.New("version, address or reset_done is longer than 256 bytes or not printable")
	}
	for _, s := range r.Sessions {
		if s.User == "" || !line(s.User) {
			return errors.New("the user of a session is empty, longer than 256 bytes or not printable")
		}
		if s.State != Active && s.State != Disconnected {
			return errors.New(`the state of a session is neither "active" nor "disconnected"`)
		}
	}
	return nil
}

func line(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// seconds makes a wait of what a broker says, within bounds.
func seconds(n int, otherwise time.Duration) time.Duration {
	if n <= 0 {
		return otherwise
	}
	return min(time.Duration(n)*time.Second, maxInterval)
}
