package peer

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknownPeer means that no trusted peer has that name.
	ErrUnknownPeer = errors.New("unknown peer")
	// ErrUnreachable means that the peer gave no answer: no connection, refused, or too late.
	// Whether it has acted is not known.
	ErrUnreachable = errors.New("peer unreachable")
	// ErrWrongKey comes with ErrUnreachable when the other end has another key than is pinned.
	ErrWrongKey = errors.New("the other end does not hold the pinned key")
	// ErrTooLarge means that a body is longer than 1 MiB.
	ErrTooLarge = errors.New("body longer than 1 MiB")
	// errStopped is a call after Run has ended.
	errStopped = errors.New("this node has stopped")
)

// Codes of a RemoteError that this package itself answers with.
const (
	CodeUnknownMethod = "unknown-method"
	CodeTooLarge      = "too-large"
	CodeNotTrusted    = "not-trusted"
	CodeBadRequest    = "bad-request"
	CodeInternal      = "internal"
)

// RemoteError is a peer's answer that something is wrong. A handler that returns one decides
// what the caller gets; any other error of a handler arrives with CodeInternal.
type RemoteError struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Error gives code and text.
func (e *RemoteError) Error() string { return fmt.Sprintf("peer answered %s: %s", e.Code, e.Text) }

// maxErrorText bounds what a peer may make us log, in bytes.
const maxErrorText = 1 << 10

// bounded cuts what is too long and what could not be shown.
func (e *RemoteError) bounded() *RemoteError {
	cut := func(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
	return &RemoteError{Code: cut(e.Code, 64), Text: cut(e.Text, maxErrorText)}
}
