package broker

import (
	"errors"
	"time"
)

// The fixed list of refusal codes (BR3, LG5). They are part of the API.
const (
	CodeSignInFailed         = "sign-in-failed"
	CodeDirectoryUnavailable = "directory-unavailable"
	CodeStoreUnavailable     = "store-unavailable"
	CodePasswordExpired      = "password-expired"     // told only after the right password, as the five below
	CodePasswordMustChange   = "password-must-change" // SE2
	CodePasswordPolicy       = "password-policy"      // the new password is not good enough
	CodeAccountDisabled      = "account-disabled"
	CodeAccountExpired       = "account-expired"
	CodeNotNow               = "sign-in-hours"
	CodeTooMany              = "too-many-failures"
	CodeTicket               = "ticket-refused" // sign in with the password
	CodeBusy                 = "busy"
	CodeStopped              = "stopped"
	CodeRejected             = "rejected"
	CodeHomeUnavailable      = "home-unavailable"
	CodePolicy               = "policy"
	CodeNoDesktop            = "no-desktop"
	CodeMaintenance          = "maintenance"
	CodeUnreachable          = "desktop-unreachable"
	CodeSessionLimit         = "session-limit"
	CodeSessionExpired       = "session-expired"
	CodeOfferUnknown         = "offer-unknown"
	CodeKeyReused            = "idempotency-key-reused"
	CodeStarting             = "desktop-starting" // not a no: ask again
	CodeStartFailed          = "start-failed"
	CodeEnrolRefused         = "enrol-refused"
	CodeAgentUnknown         = "agent-unknown"
	CodeInternal             = "internal"
)

// Refusal is a "no" with its reason. Ref finds the log row that says more than the user is told.
type Refusal struct {
	Code       string
	Text       string
	RetryAfter time.Duration // 0: trying again will not help by itself
	Ref        string
}

// Error gives code and text.
func (r *Refusal) Error() string { return r.Code + ": " + r.Text }

// refusal makes the Refusal of a code with the text that users read.
func refusal(code, ref string) *Refusal {
	r := &Refusal{Code: code, Ref: ref}
	switch code {
	case CodeSignInFailed:
		r.Text = "The user name or the password is not right."
	case CodeDirectoryUnavailable:
		r.Text, r.RetryAfter = "The directory that knows your password does not answer. Please try again.", 5*time.Second
	case CodeStoreUnavailable:
		r.Text, r.RetryAfter = "This broker cannot reach its database. Please try again.", 5*time.Second
	case CodePasswordExpired:
		r.Text = "Your password has expired. Please choose a new one."
	case CodePasswordMustChange:
		r.Text = "Your password has to be changed. Please choose a new one."
	case CodePasswordPolicy:
		r.Text = "The directory does not take this new password. Please choose another one."
	case CodeAccountDisabled:
		r.Text = "Your account is disabled."
	case CodeAccountExpired:
		r.Text = "Your account has expired."
	case CodeNotNow:
		r.Text = "Your account may not sign in at this time or from here."
	case CodeTooMany:
		r.Text, r.RetryAfter = "There were too many failed sign-ins. Please try again later.", time.Minute
	case CodeTicket:
		r.Text = "Please sign in with your password."
	case CodeBusy:
		r.Text, r.RetryAfter = "Many people are signing in right now. Please try again.", 2*time.Second
	case CodeStopped:
		r.Text, r.RetryAfter = "This broker is stopping. Please try again.", time.Second
	case CodeRejected:
		r.Text = "No data centre is set up for your account."
	case CodeHomeUnavailable:
		r.Text, r.RetryAfter = "Your home data centre cannot be reached at the moment.", 30*time.Second
	case CodePolicy:
		r.Text = "You are signed in, but no policy gives you a desktop."
	case CodeNoDesktop:
		r.Text, r.RetryAfter = "No desktop is free at the moment.", 30*time.Second
	case CodeMaintenance:
		r.Text, r.RetryAfter = "This desktop is in maintenance.", 5*time.Minute
	case CodeUnreachable:
		r.Text, r.RetryAfter = "The desktop does not answer.", 30*time.Second
	case CodeSessionLimit:
		r.Text = "You hold as many desktops as you may. Sign out of one of them first."
	case CodeSessionExpired:
		r.Text = "Your session has ended. Please sign in again."
	case CodeOfferUnknown:
		r.Text = "This desktop is not offered to you."
	case CodeKeyReused:
		r.Text = "The Idempotency-Key was used for something else. Use a new one for each action."
	case CodeStarting:
		r.Text, r.RetryAfter = "The desktop is being started.", 2*time.Second
	case CodeStartFailed:
		r.Text, r.RetryAfter = "The desktop could not be started.", startAgain
	case CodeEnrolRefused:
		r.Text = "The enrolment token is unknown, used up, expired or not for this desktop."
	case CodeAgentUnknown:
		r.Text = "This key is no desktop's. The agent has to enrol again."
	default:
		r.Code, r.Text = CodeInternal, "Something went wrong in this broker."
	}
	return r
}

// refusalCode says which refusal an error of the store is.
func refusalCode(err error) string {
	switch {
	case errors.Is(err, ErrUnavailable):
		return CodeStoreUnavailable
	case errors.Is(err, ErrNoDesktop), errors.Is(err, ErrConflict):
		return CodeNoDesktop
	case errors.Is(err, ErrMaintenance):
		return CodeMaintenance
	case errors.Is(err, ErrSessionLimit):
		return CodeSessionLimit
	case errors.Is(err, ErrKeyReused):
		return CodeKeyReused
	case errors.Is(err, ErrNotFound):
		return CodeOfferUnknown
	}
	return CodeInternal
}
