package api

// The bodies of the thin-client API (design 11, LG4-LG6). Field names are the wire form.

// LoginRequest is the body of POST /api/v1/login. Header Idempotency-Key makes it safe to retry.
type LoginRequest struct {
	User        string `json:"user,omitempty"`
	Password    string `json:"password,omitempty"`
	NewPassword string `json:"new_password,omitempty"` // the answer to a prompt of kind "new-password"
	Ticket      string `json:"ticket,omitempty"`       // of a redirect, in place of user and password
	Directory   string `json:"directory,omitempty"`    // empty: all, in order
	Client      Client `json:"client,omitzero"`
}

// Client describes the device that signs in.
type Client struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// NoRedirect says that it cannot follow a redirect: its broker goes to the home cluster for it.
	NoRedirect bool `json:"no_redirect,omitempty"`
}

// Results of a login step (LG5).
const (
	ResultPrompt   = "prompt"
	ResultWaiting  = "waiting"
	ResultRedirect = "redirect"
	ResultOffers   = "offers"
	ResultRefused  = "refused"
)

// LoginResponse is the answer to a login step; which fields are set follows from result.
type LoginResponse struct {
	Result   string    `json:"result"`
	Token    string    `json:"token,omitempty"`    // with offers: for the Authorization header from now on
	Offers   []Offer   `json:"offers,omitempty"`   // with offers: the best first
	Redirect *Redirect `json:"redirect,omitempty"` // with redirect
	Prompt   *Prompt   `json:"prompt,omitempty"`   // with prompt
	Poll     string    `json:"poll,omitempty"`     // with waiting: the path at this broker or any other of the cluster to GET the outcome at
	Position int       `json:"position,omitempty"` // with waiting: logins before this one; with code busy: logins that wait
	Reason   *Reason   `json:"reason,omitempty"`   // with refused and waiting
	Broker   Broker    `json:"broker"`
}

// Prompt is a question to the user: the answer goes into the same request, sent again.
type Prompt struct {
	Kind string `json:"kind"` // new-password: the answer goes into the field new_password
	Text string `json:"text"` // what the user reads
	Code string `json:"code"` // why
}

// Broker names who answered, so that a client (and a person) sees through whom it went.
type Broker struct {
	Name       string `json:"name"`
	SiteID     int    `json:"site_id"`
	Cluster    string `json:"cluster"`
	Datacenter string `json:"datacenter,omitempty"`
}

// Offer is one desktop that the user may connect to.
type Offer struct {
	ID       string `json:"id"` // what Connect takes
	Name     string `json:"name"`
	Pool     string `json:"pool"`
	Kind     string `json:"kind"` // "assigned" or "pooled"
	Protocol string `json:"protocol"`
	State    string `json:"state"` // "available", "running", "maintenance", ...
}

// Redirect sends the user to the home cluster; Ticket is empty when the client signs in there.
type Redirect struct {
	URL    string `json:"url"`
	Ticket string `json:"ticket,omitempty"` // good once, for 60 s, at that cluster
}

// Reason says why something was refused. Ref resolves with `switchpoint explain --ref`.
type Reason struct {
	Code       string `json:"code"`                  // of the fixed list
	Text       string `json:"text"`                  // what the user reads
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	Ref        string `json:"ref,omitempty"`         // for the administrator
}

// OffersResponse is the body of GET /api/v1/offers (Authorization: Bearer TOKEN).
type OffersResponse struct {
	Offers []Offer `json:"offers"`
	Broker Broker  `json:"broker"`
}

// ConnectRequest is the body of POST /api/v1/connect (Authorization: Bearer TOKEN).
type ConnectRequest struct {
	Offer string `json:"offer"`
}

// ConnectResponse says where the desktop is. File holds no password. With status 202 and result
// waiting the desktop is being started: reason says how far it is, and the same request, with the
// same Idempotency-Key, is to be sent again to poll after reason.retry_after seconds.
type ConnectResponse struct {
	Result   string  `json:"result,omitempty"` // waiting, or empty
	Poll     string  `json:"poll,omitempty"`
	Desktop  string  `json:"desktop"`
	Host     string  `json:"host"`
	Port     int     `json:"port"`
	Protocol string  `json:"protocol"`
	File     File    `json:"file"`
	Broker   Broker  `json:"broker"`
	Reason   *Reason `json:"reason,omitempty"`
}

// File is a connection file for the client's viewer.
type File struct {
	Name string `json:"name"`
	MIME string `json:"mime"`
	Text string `json:"text"`
}

// ErrorResponse is the body of every answer with a status of 400 and above that is no login step.
type ErrorResponse struct {
	Reason Reason `json:"reason"`
}
