package api_test

import (
	"switchpoint/broker"
	"switchpoint/broker/agent"
	"switchpoint/broker/api"
)

// operation is one of the API: what stands in openapi.json about it.
type operation struct {
	method, path, id, tag string
	summary, text         string
	auth                  string // a security scheme
	header                []string
	request               any
	statuses              map[int]status
	codes                 []string // with which it refuses
}

type status struct {
	text string
	body any    // a Go value of the body's type, or nil
	as   string // media type of a body that is no JSON
}

// requestCodes are refusals of the form of a request.
func badRequest(more map[int]status) map[int]status {
	more[400] = status{text: "The request has not the form that is described here.", body: api.ErrorResponse{}}
	more[413] = status{text: "The body is too large.", body: api.ErrorResponse{}}
	more[415] = status{text: "The body is not application/json.", body: api.ErrorResponse{}}
	return more
}

// ofSession are refusals of everything that needs a session.
var ofSession = []string{broker.CodeSessionExpired, broker.CodeStoreUnavailable, broker.CodeStopped, broker.CodeInternal}

// ofLogin are the refusals with which a login can end.
var ofLogin = []string{
	broker.CodeSignInFailed, broker.CodeTicket, broker.CodePasswordExpired, broker.CodePasswordMustChange, broker.CodePasswordPolicy,
	broker.CodeAccountDisabled, broker.CodeAccountExpired, broker.CodeNotNow, broker.CodeTooMany, broker.CodeRejected, broker.CodeHomeUnavailable,
	broker.CodePolicy, broker.CodeNoDesktop, broker.CodeKeyReused, broker.CodeDirectoryUnavailable, broker.CodeStoreUnavailable,
	broker.CodeBusy, broker.CodeTimedOut, broker.CodeAbandoned, broker.CodeStopped, broker.CodeInternal,
}

// loginStatuses are those of a login step.
func loginStatuses(more map[int]status) map[int]status {
	for code, text := range map[int]string{
		200: "result offers: signed in. result redirect: the home is another cluster. result prompt: the user has to say more.",
		202: "result waiting: the login keeps its place in the queue; ask at poll after Retry-After.",
		401: "result refused: the name, the password or the ticket is not right.",
		403: "result refused: a rule or a policy says no, or the account may not sign in.",
		422: "result refused: the Idempotency-Key was used for something else.",
		429: "result refused: too many failures; again after Retry-After.",
		500: "result refused: something went wrong in the broker.",
		503: "result refused: this broker cannot now; the same request again after Retry-After, which may reach another broker.",
	} {
		more[code] = status{text: text, body: api.LoginResponse{}}
	}
	return more
}

// sessionStatuses are the refusals of what needs a session.
func sessionStatuses(more map[int]status) map[int]status {
	if _, ok := more[403]; !ok {
		more[403] = status{text: "The home cluster that the token is of cannot be reached.", body: api.ErrorResponse{}}
	}
	more[401] = status{text: "The session has ended, or the token is none.", body: api.ErrorResponse{}}
	more[500] = status{text: "Something went wrong in the broker.", body: api.ErrorResponse{}}
	more[503] = status{text: "The broker cannot now; again after Retry-After.", body: api.ErrorResponse{}}
	return more
}

const aboutKey = "Makes the request safe to send again, for 24 h: the same key, user and password give the same outcome, on any broker of the cluster. One key for each action."

func operations() []operation {
	return []operation{
		{
			method: "post", path: "/api/v1/login", id: "login", tag: "client", summary: "Sign in: one step",
			text:   "Either user and password or the ticket of a redirect. A prompt is answered by the same request with new_password added, and with a key of its own. For a client that says no_redirect the broker goes to the home cluster, where it can: token and poll are then good at this cluster alone.",
			header: []string{"Idempotency-Key"}, request: api.LoginRequest{}, statuses: badRequest(loginStatuses(map[int]status{})), codes: ofLogin,
		},
		{
			method: "get", path: "/api/v1/login/{id}", id: "loginOutcome", tag: "client", summary: "How a login that waits has ended",
			text:     "The path is the poll of an answer with result waiting; any broker of the cluster answers it, within 10 s. The outcome can be asked for again for two minutes. The id is a secret: who has it is given the session.",
			statuses: loginStatuses(map[int]status{404: {text: "result refused: no broker knows this id (any more); sign in again.", body: api.LoginResponse{}}}), codes: append([]string{broker.CodeLoginUnknown}, ofLogin...),
		},
		{
			method: "get", path: "/api/v1/offers", id: "offers", tag: "client", summary: "The desktops that are offered to the user", auth: "session",
			statuses: sessionStatuses(map[int]status{200: {text: "The list, the best first.", body: api.OffersResponse{}}}), codes: ofSession,
		},
		{
			method: "post", path: "/api/v1/connect", id: "connect", tag: "client", summary: "Get one desktop", auth: "session",
			header: []string{"Idempotency-Key"}, request: api.ConnectRequest{},
			statuses: badRequest(sessionStatuses(map[int]status{
				200: {text: "Where it is.", body: api.ConnectResponse{}},
				202: {text: "It is being started: the same request again, with the same key, to poll after Retry-After.", body: api.ConnectResponse{}},
				403: {text: "A policy says no, or the home cluster that the token is of cannot be reached.", body: api.ErrorResponse{}},
				404: {text: "This desktop is not offered to the user.", body: api.ErrorResponse{}},
				409: {text: "The desktop cannot be had now.", body: api.ErrorResponse{}},
				422: {text: "The Idempotency-Key was used for something else.", body: api.ErrorResponse{}},
			})),
			codes: append([]string{
				broker.CodeStarting, broker.CodePolicy, broker.CodeOfferUnknown, broker.CodeNoDesktop, broker.CodeMaintenance, broker.CodeUnreachable,
				broker.CodeSessionLimit, broker.CodeStartFailed, broker.CodeKeyReused,
			}, ofSession...),
		},
		{
			method: "post", path: "/api/v1/logout", id: "logout", tag: "client", summary: "End the session and give pooled desktops back", auth: "session",
			statuses: sessionStatuses(map[int]status{204: {text: "Ended."}}), codes: ofSession,
		},
		{
			method: "get", path: "/api/v1/openapi.json", id: "openapi", tag: "client", summary: "This file",
			statuses: map[int]status{200: {text: "OpenAPI 3.1."}},
		},
		{
			method: "post", path: agent.PathEnrol, id: "agentEnrol", tag: "agent", summary: "Give a desktop its key", request: agent.EnrolRequest{},
			statuses: badRequest(map[int]status{
				200: {text: "Enrolled.", body: agent.EnrolResponse{}}, 401: {text: "The token is not good for this desktop.", body: agent.Refusal{}},
				500: {text: "Something went wrong in the broker.", body: agent.Refusal{}}, 503: {text: "The broker cannot now.", body: agent.Refusal{}},
			}), codes: []string{broker.CodeEnrolRefused, broker.CodeStoreUnavailable, broker.CodeInternal},
		},
		{
			method: "post", path: agent.PathHeartbeat, id: "agentHeartbeat", tag: "agent", summary: "Report that the desktop is on", auth: "agent", request: agent.HeartbeatRequest{},
			text: "Fields that a broker does not know are ignored.",
			statuses: badRequest(map[int]status{
				200: {text: "Durable.", body: agent.HeartbeatResponse{}}, 401: {text: "The key is no desktop's.", body: agent.Refusal{}},
				500: {text: "Something went wrong in the broker.", body: agent.Refusal{}}, 503: {text: "The broker cannot now.", body: agent.Refusal{}},
			}), codes: []string{broker.CodeAgentUnknown, broker.CodeStoreUnavailable, broker.CodeBusy, broker.CodeInternal},
		},
		{
			method: "get", path: "/index.pl", id: "isAlive", tag: "health", summary: "The health page for balancers (?action=is_alive or cb_status)",
			text: "Answered without HTTP version and Host, too. X-Broker-Mode, X-Broker-Active and X-Broker-Capacity carry the load.",
			statuses: map[int]status{
				200: {text: "Logins can be served: the body is CB_IS_OKAY.", as: "text/plain"}, 404: {text: "Another action.", as: "text/plain"},
				503: {text: "No new logins now.", as: "text/plain"},
			},
		},
		{
			method: "post", path: "/RPC2", id: "xmlRPC", tag: "health", summary: "XML-RPC: broker.isAlive, broker.status, cluster.list, system.listMethods",
			text: "broker.status and cluster.list need the node's admin token as a bearer token.", auth: "admin",
			statuses: map[int]status{
				200: {text: "A value, or a fault.", as: "text/xml"}, 401: {text: "A fault: the admin's token is needed.", as: "text/xml"},
				415: {text: "A fault: the body is not XML.", as: "text/xml"}, 503: {text: "A fault: the broker is not alive.", as: "text/xml"},
			},
		},
	}
}

// wireEnums are the values that a field can have.
func wireEnums() map[string][]string {
	return map[string][]string{
		"LoginResponse.result":   {api.ResultPrompt, api.ResultWaiting, api.ResultRedirect, api.ResultOffers, api.ResultRefused},
		"ConnectResponse.result": {api.ResultWaiting},
		"Prompt.kind":            {broker.PromptNewPassword},
		"Prompt.code":            {broker.CodePasswordExpired, broker.CodePasswordMustChange, broker.CodePasswordPolicy},
		"Offer.kind":             {"assigned", "pooled"},
		"AgentSession.state":     {agent.Active, agent.Disconnected},
	}
}
