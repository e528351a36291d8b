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
	CodeTimedOut             = "login-timed-out" // it waited in the queue until its deadline
	CodeLoginUnknown         = "login-unknown"   // nobody waits under this id, or does any more
	CodeAbandoned            = "abandoned"       // its client has gone: for the log
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
	Position   int // with CodeBusy: logins that wait
}

// Error gives code and text.
func (r *Refusal) Error() string { return r.Code + ": " + r.Text }

// refusal makes the Refusal of a code with the text that users read.
func refusal(code, ref string) *Refusal {
	r := &Refusal{Code: code, Ref: ref}
	if r.Text, r.RetryAfter = signInText(code); r.Text == "" {
		r.Text, r.RetryAfter = workText(code)
	}
	if r.Text == "" {
		r.Code, r.Text = CodeInternal, "Something went wrong in this broker."
	}
	return r
}

// signInText is the text of a code about signing in, and when to try again.
func signInText(code string) (text string, again time.Duration) {
	switch code {
	case CodeSignInFailed:
		return "The user name or the password is not right.", 0
	case CodeDirectoryUnavailable:
		return "The directory that knows your password does not answer. Please try again.", 5 * time.Second
	case CodePasswordExpired:
		return "Your password has expired. Please choose a new one.", 0
	case CodePasswordMustChange:
		return "Your password has to be changed. Please choose a new one.", 0
	case CodePasswordPolicy:
		return "The directory does not take this new password. Please choose another one.", 0
	case CodeAccountDisabled:
		return "Your account is disabled.", 0
	case CodeAccountExpired:
		return "Your account has expired.", 0
	case CodeNotNow:
		return "Your account may not sign in at this time or from here.", 0
	case CodeTooMany:
		return "There were too many failed sign-ins. Please try again later.", time.Minute
	case CodeTicket:
		return "Please sign in with your password.", 0
	case CodeBusy:
		return "Many people are signing in right now. Please try again.", 2 * time.Second
	case CodeTimedOut:
		return "Signing in has taken too long, because many people are. Please sign in again.", 0
	case CodeLoginUnknown:
		return "This sign-in is not known any more. Please sign in again.", 0
	case CodeAbandoned:
		return "The sign-in was given up.", 0
	case CodeRejected:
		return "No data centre is set up for your account.", 0
	case CodeHomeUnavailable:
		return "Your home data centre cannot be reached at the moment.", 30 * time.Second
	}
	return "", 0
}

// workText is that of a code about what comes after.
func workText(code string) (text string, again time.Duration) {
	switch code {
	case CodeStoreUnavailable:
		return "This broker cannot reach its database. Please try again.", 5 * time.Second
	case CodeStopped:
		return "This broker is stopping. Please try again.", time.Second
	case CodePolicy:
		return "You are signed in, but no policy gives you a desktop.", 0
	case CodeNoDesktop:
		return "No desktop is free at the moment.", 30 * time.Second
	case CodeMaintenance:
		return "This desktop is in maintenance.", 5 * time.Minute
	case CodeUnreachable:
		return "The desktop does not answer.", 30 * time.Second
	case CodeSessionLimit:
		return "You hold as many desktops as you may. Sign out of one of them first.", 0
	case CodeSessionExpired:
		return "Your session has ended. Please sign in again.", 0
	case CodeOfferUnknown:
		return "This desktop is not offered to you.", 0
	case CodeKeyReused:
		return "The Idempotency-Key was used for something else. Use a new one for each action.", 0
	case CodeStarting:
		return "The desktop is being started.", 2 * time.Second
	case CodeStartFailed:
		return "The desktop could not be started.", startAgain
	case CodeEnrolRefused:
		return "The enrolment token is unknown, used up, expired or not for this desktop.", 0
	case CodeAgentUnknown:
		return "This key is no desktop's. The agent has to enrol again.", 0
	}
	return "", 0
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
