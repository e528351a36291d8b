// Package api is the broker's HTTP face: JSON for thin clients, the is_alive page for balancers,
// and pages for people with a browser.
//
//	POST /api/v1/login      -> LoginResponse: prompt, waiting, redirect, offers or refused (LG5)
//	GET  /api/v1/login/ID   -> LoginResponse: how a login that waits has ended (LG1)
//	GET  /api/v1/offers     -> OffersResponse
//	POST /api/v1/connect    -> ConnectResponse; 202 while the desktop is being started
//	POST /api/v1/logout     -> 204
//	GET  /api/v1/openapi.json  the API for machines, made from the types of this package
//	POST /agent/v1/enrol    -> agent.EnrolResponse (BR5)
//	POST /agent/v1/heartbeat -> agent.HeartbeatResponse
//	GET  /index.pl?action=is_alive|cb_status
//	POST /RPC2              XML-RPC: broker.isAlive and system.listMethods for everybody (AL2);
//	                        broker.status and cluster.list with the admin's bearer token (SE1)
//	/  /signin  /waiting  /newpassword  /desktops  /connect  /signout   the pages
//
// A browser's way through the pages; every step is the same Broker.Login as that of a thin client:
//
//	              +--> new password --+      +--- again, by itself ---+
//	              |                   v      v                       |
//	/signin --> (step) -----------> (step) --+--> /waiting ----------+
//	  ^           |                          |
//	  | refused   | redirect: 303 to the home's /signin?ticket=...
//	  +-----------+--> signed in: /desktops --> file --> signed out: /signin
//
// Invariants: bodies are bounded and JSON is strict (an unknown field is an error: a typo must
// not silently change a login). Every answer of the API says through which broker it went. The
// pages work without JavaScript; every form carries a CSRF token; cookies are __Host-, Secure,
// HttpOnly and SameSite=Strict, so the pages work over HTTPS only. Nothing of a request is
// logged but its route, status, client address and duration. Steps are stateless: what a browser has to
// remember stands in its cookies, and no password stands in a page.
//
// Failure rules: a refused login step has a LoginResponse, every other refusal an ErrorResponse,
// both with a code of the broker's fixed list or of this package; 503 carries Retry-After. When
// the context of Run ends, listeners close at once and requests under way get drainTimeout.
package api
