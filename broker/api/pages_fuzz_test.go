package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzWaitingCookie: what is read is written the same way again, and stays within its bounds.
func FuzzWaitingCookie(f *testing.F) {
	f.Add("sw1.1.c29tZSBzZWNyZXQ~1700000000~YW5uYQ")
	f.Add("a~-9223372036854775808~")
	f.Add("~~")
	f.Add("a~1~////")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := parseWaiting(text)
		if !ok {
			if p != (waiting{}) {
				t.Errorf("%q: refused, and yet %+v", text, p)
			}
			return
		}
		if len(p.id) > maxLoginID || len(p.user) > maxWaitingUser || !plainTicket(p.id) {
			t.Errorf("%q: %+v", text, p)
		}
		if e := p.elapsed(time.Now()); e < 0 || e > loginCookieLife {
			t.Errorf("%q: waits for %d s", text, e)
		}
		again, ok := parseWaiting(p.cookie())
		if !ok || again.id != p.id || again.user != p.user || !again.since.Equal(p.since) {
			t.Errorf("%q: %+v, read again %+v", text, p, again)
		}
		if c := (&http.Cookie{Name: "c", Value: p.cookie()}).String(); !strings.Contains(c, p.cookie()) {
			t.Errorf("%q is no cookie", p.cookie())
		}
	})
}

// FuzzTicketParam: what comes out may stand in a page and in a request as it is.
func FuzzTicketParam(f *testing.F) {
	f.Add("ticket=st1.eyJ.c2ln")
	f.Add("ticket=a&ticket=b")
	f.Add("ticket=%00&x=1")
	f.Add("a;b=%zz")
	f.Fuzz(func(t *testing.T, query string) {
		ticket, given := ticketParam(query)
		if ticket != "" && (!given || len(ticket) > maxTicket || strings.ContainsAny(ticket, "<>&\"' \x00/?#")) {
			t.Errorf("%q gave %q", query, ticket)
		}
		if ticket != "" {
			if to := signInAt("https://cb.company.com/", ticket); to != "https://cb.company.com/signin?ticket="+ticket {
				t.Errorf("%q leads to %s", query, to)
			}
		}
	})
}

// FuzzNewPasswordForm: a step comes out of a form only with a new password that was typed twice alike.
func FuzzNewPasswordForm(f *testing.F) {
	f.Add("user=anna&password=old&new=n&again=n")
	f.Add("user=anna&new=n&new=m&again=m")
	f.Add("new=%00&again=%00")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		step, text := newPasswordStep(form)
		if text == "" && (step.NewPassword == "" || step.NewPassword != form.Get("again") || step.Password == step.NewPassword || step.Ticket != "") {
			t.Errorf("%q gave %+v", body, step)
		}
		if text != "" && len(step.NewPassword) > 8 && strings.Contains(text, step.NewPassword) {
			t.Errorf("the fault repeats the password: %s", text)
		}
	})
}

// FuzzPollPath: whatever stands in the path of a poll, it is one segment, and none of ours is taken for one.
func FuzzPollPath(f *testing.F) {
	f.Add("sw1.1.c29tZSBzZWNyZXQ")
	f.Add("..")
	f.Add("%2e%2e%2fconnect")
	f.Add("")
	f.Fuzz(func(t *testing.T, id string) {
		path := pathLogin + "/" + url.PathEscape(id)
		r, err := http.NewRequest(http.MethodGet, path, http.NoBody)
		if err != nil {
			return
		}
		mux := http.NewServeMux()
		got := ""
		mux.HandleFunc("GET "+pathLogin+"/{id}", func(_ http.ResponseWriter, r *http.Request) { got = r.PathValue("id") })
		h, pattern := mux.Handler(r)
		if pattern == "" {
			return
		}
		h.ServeHTTP(nopWriter{}, r)
		if got != "" && got != id {
			t.Errorf("%q was taken for %q", id, got)
		}
	})
}

type nopWriter struct{}

func (nopWriter) Header() http.Header         { return http.Header{} }
func (nopWriter) Write(b []byte) (int, error) { return len(b), nil }
func (nopWriter) WriteHeader(int)             {}
