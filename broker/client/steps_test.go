package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"switchpoint/broker/api"
)

// sent is one request as a broker saw it.
type sent struct {
	path, key, agent string
	body             api.LoginRequest
	at               time.Time
}

// desk is a broker whose every answer is made from what has been sent so far.
type desk struct {
	*httptest.Server
	mu  sync.Mutex
	all []sent
}

// newDesk answers with what the script says of the requests so far, the newest last; a result of ""
// drops the connection.
func newDesk(t *testing.T, cluster string, script func(all []sent) (int, api.LoginResponse)) *desk {
	t.Helper()
	d := &desk{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s := sent{path: r.URL.Path, key: r.Header.Get("Idempotency-Key"), agent: r.UserAgent(), at: time.Now()}
		if len(text) > 0 {
			if err := json.Unmarshal(text, &s.body); err != nil {
				t.Error(err)
			}
		}
		d.mu.Lock()
		d.all = append(d.all, s)
		status, res := script(d.all)
		d.mu.Unlock()
		if res.Result == "" {
			panic(http.ErrAbortHandler)
		}
		res.Broker = api.Broker{Name: cluster + "-1", SiteID: 1, Cluster: cluster}
		if res.Reason != nil && res.Reason.RetryAfter > 0 {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(res); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *desk) sent() []sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all
}

func refused(code string, after int) api.LoginResponse {
	return api.LoginResponse{Result: api.ResultRefused, Reason: &api.Reason{Code: code, Text: "no", RetryAfter: after}}
}

func promptFor(code string) api.LoginResponse {
	return api.LoginResponse{Result: api.ResultPrompt, Prompt: &api.Prompt{Kind: "new-password", Text: "Choose.", Code: code}}
}

// TestNewPassword: the one that was given is sent once, then the user is asked, each step with a key of
// its own; the words of the password stand in no hop.
func TestNewPassword(t *testing.T) {
	d := newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
		switch s := all[len(all)-1].body; {
		case s.NewPassword == "":
			return 200, promptFor("password-expired")
		case s.NewPassword != "third-word":
			return 200, promptFor("password-policy")
		}
		return 200, offers()
	})
	var asked []string
	o := Options{URL: d.URL, User: "bob", Password: "first-word", NewPassword: "second-word", OffersOnly: true, Client: api.Client{Name: "tc", Version: "2"}}
	o.AskNewPassword = func(_ context.Context, p api.Prompt) (string, error) {
		asked = append(asked, p.Code)
		return "third-word", nil
	}
	var told int
	o.OnHop = func(h Hop) {
		told++
		if strings.Contains(h.Detail, "-word") {
			t.Errorf("a hop tells a password: %+v", h)
		}
	}
	out, err := Login(t.Context(), o)
	all := d.sent()
	if err != nil || len(all) != 3 || len(asked) != 1 || asked[0] != "password-policy" || told != len(out.Hops) {
		t.Fatalf("%+v, %v, %d steps, asked %v", out, err, len(all), asked)
	}
	if all[1].body.NewPassword != "second-word" || all[2].body.Password != "first-word" || all[0].key == all[1].key || all[0].body.Client.Name != "tc" || all[0].agent != "switchpoint-client/2" {
		t.Errorf("%+v", all)
	}
	var unanswered *PromptError
	_, err = Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "first-word"})
	if !errors.As(err, &unanswered) || unanswered.Prompt.Code != "password-expired" || !strings.Contains(err.Error(), "Choose.") {
		t.Errorf("nobody to ask: %v", err)
	}
	o.AskNewPassword = func(context.Context, api.Prompt) (string, error) { return "never good enough", nil }
	if _, err = Login(t.Context(), o); err == nil || len(d.sent()) > 4+1+maxPrompts {
		t.Errorf("asked for ever: %v", err)
	}
}

// TestNewPasswordLost: the connection dies after the change; then the new password is the right one.
func TestNewPasswordLost(t *testing.T) {
	d := newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
		switch s := all[len(all)-1].body; {
		case len(all) == 1:
			return 200, promptFor("password-expired")
		case len(all) == 2:
			return 0, api.LoginResponse{} // changed, but the answer is lost
		case s.Password == "old":
			return 401, refused("sign-in-failed", 0)
		}
		return 200, offers()
	})
	_, err := Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "old", NewPassword: "new", OffersOnly: true})
	all := d.sent()
	if err != nil || len(all) != 4 || all[1].key != all[2].key || all[3].body.Password != "new" || all[3].body.NewPassword != "" {
		t.Errorf("%v, %+v", err, all)
	}
}

// TestTicket: the password goes to the first cluster alone; to the next only when the ticket is refused.
func TestTicket(t *testing.T) {
	for _, good := range []bool{true, false} {
		us := newDesk(t, "us", func(all []sent) (int, api.LoginResponse) {
			if all[len(all)-1].body.Ticket != "" && !good {
				return 401, refused("ticket-refused", 0)
			}
			return 200, offers()
		})
		uk := newDesk(t, "uk", func([]sent) (int, api.LoginResponse) {
			return 200, api.LoginResponse{Result: api.ResultRedirect, Redirect: &api.Redirect{URL: us.URL, Ticket: "st1.a.b"}}
		})
		out, err := Login(t.Context(), Options{URL: uk.URL, User: "alice", Password: "a-word", OffersOnly: true})
		all := us.sent()
		if err != nil || out.Broker.Cluster != "us" || len(all) == 0 || all[0].body.Ticket != "st1.a.b" || all[0].body.User+all[0].body.Password != "" {
			t.Fatalf("%v: %v, %+v", good, err, all)
		}
		if good && len(all) != 1 || !good && (len(all) != 2 || all[1].body.Password != "a-word" || all[1].body.Ticket != "" || all[1].key == all[0].key) {
			t.Errorf("%v: %+v", good, all)
		}
		for _, h := range out.Hops {
			if strings.Contains(h.Detail, "st1.") || strings.Contains(h.Detail, "a-word") {
				t.Errorf("a hop tells a secret: %+v", h)
			}
		}
	}
}

// TestBusy: 503 with Retry-After is asked again with the same key, after that time and not for ever.
func TestBusy(t *testing.T) {
	busyFor := func(n int) *desk {
		return newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
			if len(all) <= n {
				return 503, refused("busy", 1)
			}
			return 200, offers()
		})
	}
	d := busyFor(1)
	out, err := Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "p", OffersOnly: true})
	all := d.sent()
	if err != nil || len(all) != 2 || all[0].key != all[1].key || all[1].at.Sub(all[0].at) < time.Second {
		t.Fatalf("%v, %+v", err, all)
	}
	if !strings.Contains(hopText(out), "says: busy") {
		t.Errorf("no hop tells of it: %s", hopText(out))
	}
	var no *RefusedError
	for _, patience := range []time.Duration{-1, 1500 * time.Millisecond} {
		d := busyFor(1000)
		_, err = Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "p", Patience: patience})
		if !errors.As(err, &no) || no.Reason.Code != "busy" || len(d.sent()) > 2 {
			t.Errorf("patience %s: %v after %d", patience, err, len(d.sent()))
		}
	}
}

// TestQueue: the place in the queue is shown, and the poll goes where the broker says.
func TestQueue(t *testing.T) {
	d := newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
		if len(all) == 3 {
			return 200, offers()
		}
		return 202, api.LoginResponse{Result: api.ResultWaiting, Poll: "/api/v1/login/sw1.1.x", Position: 30 - 10*len(all), Reason: &api.Reason{Code: "queued", RetryAfter: 1}}
	})
	out, err := Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "p", OffersOnly: true})
	all := d.sent()
	if err != nil || len(all) != 3 || all[2].path != "/api/v1/login/sw1.1.x" {
		t.Fatalf("%v, %+v", err, all)
	}
	text := hopText(out)
	if !strings.Contains(text, "20 before") || !strings.Contains(text, "10 before") || strings.Contains(text, "sw1.") {
		t.Errorf("hops: %s", text)
	}
}

// TestQueueLost: the broker that had the login has died; it is sent again, with the same key.
func TestQueueLost(t *testing.T) {
	d := newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
		switch len(all) {
		case 1:
			return 202, api.LoginResponse{Result: api.ResultWaiting, Poll: "/api/v1/login/sw1.1.x", Reason: &api.Reason{Code: "queued", RetryAfter: 1}}
		case 2:
			return 404, refused("login-unknown", 0)
		}
		return 200, offers()
	})
	out, err := Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "p", OffersOnly: true})
	all := d.sent()
	if err != nil || len(all) != 3 || all[2].path != pathLogin || all[2].key != all[0].key || !strings.Contains(hopText(out), "is lost") {
		t.Fatalf("%v, %+v", err, all)
	}
	d = newDesk(t, "uk", func(all []sent) (int, api.LoginResponse) {
		if all[len(all)-1].path == pathLogin {
			return 202, api.LoginResponse{Result: api.ResultWaiting, Poll: "/api/v1/login/sw1.1.x", Reason: &api.Reason{Code: "queued", RetryAfter: 1}}
		}
		return 404, refused("login-unknown", 0)
	})
	var no *RefusedError
	if _, err := Login(t.Context(), Options{URL: d.URL, User: "bob", Password: "p"}); !errors.As(err, &no) || no.Reason.Code != "login-unknown" || len(d.sent()) != 4 {
		t.Errorf("%v after %d", err, len(d.sent()))
	}
}

func hopText(out Outcome) string {
	var lines []string
	for _, h := range out.Hops {
		lines = append(lines, h.Step+": "+h.Detail)
	}
	return strings.Join(lines, "\n")
}

func TestRetryAfterHeader(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "-1": 0, "x": 0, "99999999999999999999": 0, "86401": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0,
	} {
		if got := retryAfter(header); got != want {
			t.Errorf("%q is %s, want %s", header, got, want)
		}
	}
}
