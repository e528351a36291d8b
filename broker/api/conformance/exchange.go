package conformance

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"switchpoint/broker"
	"switchpoint/broker/api"
)

const offerID = "0190a5b0-0000-7000-8000-000000000001"

// handler serves one place.
func (s *Server) handler(p place) http.Handler {
	mux := http.NewServeMux()
	for pattern, k := range map[string]kind{
		"POST /api/v1/login": login, "GET /api/v1/login/{id}": poll, "GET /api/v1/offers": offers,
		"POST /api/v1/connect": connect, "POST /api/v1/logout": logout,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.take(w, r, p, k) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.stray(r, p, "a broker has nothing at this path with this method")
		write(w, reply{status: http.StatusNotFound, body: api.ErrorResponse{Reason: api.Reason{Code: "not-found", Text: "There is nothing at this path with this method."}}})
	})
	return mux
}

// take notes one request and answers it.
func (s *Server) take(w http.ResponseWriter, r *http.Request, p place, k kind) {
	e := read(w, r, p, k)
	play, i := s.note(r, &e)
	if play == nil {
		write(w, e.reply)
		return
	}
	if e.reply.after > 0 {
		select {
		case <-time.After(e.reply.after):
		case <-r.Context().Done(): // the client has gone: its next request will show it
		}
	}
	s.mu.Lock()
	if i < len(play.course) {
		play.course[i].done = time.Now()
	}
	s.mu.Unlock()
	if e.reply.cut {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
	write(w, e.reply)
}

// read makes the event of a request. What a broker would refuse is its fault.
func read(w http.ResponseWriter, r *http.Request, p place, k kind) event {
	e := event{at: time.Now(), place: p, kind: k, key: r.Header.Get("Idempotency-Key"), agent: r.UserAgent()}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		e.token = strings.TrimSpace(token)
	}
	query, _ := url.QueryUnescape(r.URL.RawQuery) // what cannot be read holds no secret that could be found
	e.inURL = strings.Contains(query, Password) || strings.Contains(query, "sp1.") || strings.Contains(query, "st1.")
	body := http.MaxBytesReader(w, r.Body, maxBody)
	switch k {
	case login:
		e.fault = decode(r, body, &e.login)
		if e.fault == "" && (e.login.Ticket != "") == (e.login.User != "" || e.login.Password != "") {
			e.fault = "it must carry either user and password or a ticket"
		}
	case connect:
		e.fault = decode(r, body, &e.connect)
	}
	return e
}

// decode reads a body as strictly as a broker does.
func decode(r *http.Request, body io.Reader, into any) string {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return "Content-Type is not application/json"
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return "the field " + field + " is not known to brokers: they refuse it"
		}
		return "the body is not the JSON object that is expected"
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "there is more than one JSON value in the body"
	}
	return ""
}

// note finds whose request it is, keeps it and decides its answer. play is nil for a stray.
func (s *Server) note(r *http.Request, e *event) (play *play, i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if play = s.owner(r, e); play == nil {
		s.strayLocked(r, e.place, e.whose())
		e.reply = e.unknown()
		return nil, 0
	}
	if n := len(play.course); e.kind == login && e.place == here && n > 0 && e.at.Sub(play.course[n-1].at) > newCourse+play.course[n-1].reply.after {
		play.course = nil
		maps.DeleteFunc(s.owners, func(_ string, o owner) bool { return o.play == play })
	}
	if len(play.course) >= maxCourse {
		e.reply = e.unknown()
		return play, len(play.course)
	}
	e.expected = play.token
	play.course = append(play.course, *e)
	i = len(play.course) - 1
	e.reply = s.answer(play)
	play.course[i].reply = e.reply
	s.log.Info("request", "scenario", play.scenario.name, "place", e.place.String(), "kind", e.kind.String(), "status", e.reply.status)
	return play, i
}

// owner finds the scenario of a request: by the user, or by the secret that was handed out.
func (s *Server) owner(r *http.Request, e *event) *play {
	var secret string
	switch {
	case e.kind == login && e.login.Ticket == "":
		return s.plays[e.login.User]
	case e.kind == login:
		secret = e.login.Ticket
	case e.kind == poll:
		secret = r.PathValue("id")
	default:
		secret = e.token
	}
	o, known := s.owners[secret]
	if !known || (o.kind == offers) != (e.kind != login && e.kind != poll) || e.kind == poll && o.kind != poll {
		return nil
	}
	return o.play
}

func (e *event) whose() string {
	if e.kind == login && e.login.Ticket == "" {
		return "its user is none of the scenarios"
	}
	return "its token, ticket or id was never handed out"
}

// unknown is what a broker answers to whom it does not know.
func (e *event) unknown() reply {
	switch {
	case e.kind == login && e.login.Ticket != "":
		return refusal(broker.CodeTicket, 0)
	case e.kind == login:
		return refusal(broker.CodeSignInFailed, 0)
	case e.kind == poll:
		return refusal(broker.CodeLoginUnknown, 0)
	}
	return failure(http.StatusUnauthorized, broker.CodeSessionExpired, "Your session has ended. Please sign in again.")
}

func failure(status int, code, text string) reply {
	return reply{status: status, body: api.ErrorResponse{Reason: api.Reason{Code: code, Text: text, Ref: "1-conformance"}}}
}

// answer decides what the newest request of a play gets.
func (s *Server) answer(p *play) reply {
	set := s.settings
	set.ticket = func() string { return s.handOut(p, "st1.", login) }
	set.poll = func() string { return "/api/v1/login/" + s.handOut(p, "sw1.1.", poll) }
	e := p.course[len(p.course)-1]
	switch {
	case e.fault != "":
		return failure(http.StatusBadRequest, "bad-request", e.fault)
	case e.kind == login && e.login.Password != "" && e.login.Password != Password && e.login.Password != NewPassword:
		return refusal(broker.CodeSignInFailed, 0)
	case e.kind == login, e.kind == poll:
		r := p.scenario.answer(&set, p.course)
		if body, ok := r.body.(api.LoginResponse); ok {
			if body.Result == api.ResultOffers {
				p.token = s.handOut(p, "sp1.1.", offers)
				body.Token, body.Offers = p.token, offered()
			}
			body.Broker = who(e.place)
			r.body = body
		}
		return r
	case e.kind == connect:
		return p.connected(e, set.retryAfter)
	case e.kind == offers:
		return reply{status: 200, body: api.OffersResponse{Offers: offered(), Broker: who(e.place)}, extra: p.scenario.name == "unknown-fields"}
	}
	return reply{status: http.StatusNoContent}
}

// connected is the answer to connect.
func (p *play) connected(e event, retryAfter int) reply {
	switch {
	case e.connect.Offer != offerID:
		return failure(http.StatusNotFound, broker.CodeOfferUnknown, "This desktop is not offered to you.")
	case p.scenario.name == "session-ended":
		return failure(http.StatusUnauthorized, broker.CodeSessionExpired, "Your session has ended. Please sign in again.")
	case p.scenario.name == "desktop-starting" && len(p.course.of(connect)) == 1:
		return reply{status: http.StatusAccepted, retryAfter: retryAfter, body: api.ConnectResponse{
			Result: api.ResultWaiting, Poll: "/api/v1/connect", Broker: who(e.place),
			Reason: &api.Reason{Code: broker.CodeStarting, Text: "The desktop is being started.", RetryAfter: retryAfter},
		}}
	}
	return reply{status: 200, extra: p.scenario.name == "unknown-fields", body: api.ConnectResponse{
		Desktop: "conformance-desk", Host: "192.0.2.10", Port: 3389, Protocol: "rdp", Broker: who(e.place),
		File: api.File{Name: "conformance-desk.rdp", MIME: "application/x-rdp", Text: "full address:s:192.0.2.10:3389\r\n"},
	}}
}

func offered() []api.Offer {
	return []api.Offer{{ID: offerID, Name: "conformance-desk", Pool: "conformance", Kind: "assigned", Protocol: "rdp", State: "available"}}
}

func who(p place) api.Broker {
	return api.Broker{Name: "conformance-" + strconv.Itoa(int(p)+1), SiteID: int(p) + 1, Cluster: strings.Fields(p.String())[0], Datacenter: "test"}
}

// handOut makes a secret that leads back to the play.
func (s *Server) handOut(p *play, prefix string, k kind) string {
	text := prefix + base64.RawURLEncoding.EncodeToString(random(32))
	if prefix == "st1." {
		text += "." + base64.RawURLEncoding.EncodeToString(random(64))
	}
	s.owners[text] = owner{play: p, kind: k}
	return text
}

func (s *Server) stray(r *http.Request, p place, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strayLocked(r, p, why)
}

// strayLocked notes a request that belongs to no scenario; of its URL the path alone, cut short.
func (s *Server) strayLocked(r *http.Request, p place, why string) {
	path := strconv.Quote(r.URL.Path)
	if r.PathValue("id") != "" || len(path) > 60 {
		path = path[:min(len(path), 20)] + "..."
	}
	if len(s.strays) < maxStrays {
		s.strays = append(s.strays, fmt.Sprintf("%s %s (%s): %s", r.Method, path, p, why))
	}
}

// write sends a reply.
func write(w http.ResponseWriter, r reply) {
	w.Header().Set("Cache-Control", "no-store")
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	text, err := json.Marshal(r.body)
	if err == nil && r.extra {
		text, err = withUnknown(text)
	}
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = w.Write(text) // a client that has gone away cannot be told
}

// withUnknown adds fields that are not known yet to every object of an answer.
func withUnknown(text []byte) ([]byte, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return json.Marshal(extended(v))
}

func extended(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = extended(inner)
		}
		v["added_later"] = map[string]any{"deep": []any{1, "two", nil}}
	case []any:
		for i := range v {
			v[i] = extended(v[i])
		}
	}
	return v
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
