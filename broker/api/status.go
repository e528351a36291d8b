package api

import (
	"net/http"

	"switchpoint/broker"
)

// Codes that are about the request and not about the user.
const (
	codeBadRequest = "bad-request"
	codeTooLarge   = "too-large"
	codeMediaType  = "unsupported-media-type"
	codeNotFound   = "not-found"
	codeQueued     = "queued"       // a login that waits: not a no
	codeForm       = "form-expired" // pages only
)

// statusOf is the HTTP status of a refusal. 503 is kept for what another broker, or this one a
// little later, would answer differently.
func statusOf(code string) int {
	switch code {
	case broker.CodeStarting:
		return http.StatusAccepted
	case broker.CodeSignInFailed, broker.CodeTicket, broker.CodeSessionExpired, broker.CodeEnrolRefused, broker.CodeAgentUnknown:
		return http.StatusUnauthorized
	case broker.CodeRejected, broker.CodeHomeUnavailable, broker.CodePolicy, broker.CodePasswordExpired, broker.CodePasswordMustChange,
		broker.CodePasswordPolicy, broker.CodeAccountDisabled, broker.CodeAccountExpired, broker.CodeNotNow:
		return http.StatusForbidden
	case broker.CodeTooMany:
		return http.StatusTooManyRequests
	case broker.CodeDirectoryUnavailable, broker.CodeStoreUnavailable, broker.CodeBusy, broker.CodeStopped, broker.CodeTimedOut,
		broker.CodeAbandoned:
		return http.StatusServiceUnavailable
	case broker.CodeNoDesktop, broker.CodeMaintenance, broker.CodeUnreachable, broker.CodeStartFailed, broker.CodeSessionLimit:
		return http.StatusConflict
	case broker.CodeOfferUnknown, broker.CodeLoginUnknown:
		return http.StatusNotFound
	case broker.CodeKeyReused:
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

// LoginStatus is the HTTP status of a login that is refused with this code: as everywhere else, but a login without any offer is a matter of rights.
func LoginStatus(code string) int {
	if code == broker.CodeNoDesktop {
		return http.StatusForbidden
	}
	return statusOf(code)
}

// refusalReason is what a refusal says to a user.
func refusalReason(r *broker.Refusal) *Reason {
	reason := reasonOf(r)
	return &reason
}
