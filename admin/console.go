package admin

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"switchpoint/broker"
)

//go:embed web
var web embed.FS

const (
	consolePath = "/console/"
	// maxForm bounds the body of a form, formTime how long a browser may take to send it.
	maxForm  = 64 << 10
	formTime = 10 * time.Second
	// refreshEvery is the interval of a page that was asked to show itself again and again.
	refreshEvery = 30 * time.Second
	storeTime    = 15 * time.Second // what one page may ask of a store
)

// Page is one entry of the console's navigation, with all that lies below its path.
type Page struct {
	Path    string // below /console/, such as "cluster"
	Section string // heading in the navigation, such as "System"
	Title   string
	Views   map[string]View // by the path below Path; "" is the page itself
	Acts    map[string]Act  // the forms, likewise
}

// View gives what one address of a page shows. Its errors become pages: broker.ErrNotFound 404,
// broker.ErrConflict 409, broker.ErrUnavailable 503, an *Error its own status.
type View func(*Visit) (Shown, error)

// Act does what a form asks for. The form's token has been checked before.
type Act func(*Visit) (Done, error)

// Visit is one request by somebody who may operate the node.
type Visit struct {
	*http.Request
	By string // who it is, in words, for the log of the cluster
}

// Shown is a page to be written.
type Shown struct {
	Template string // file in web/ that defines "content"
	Title    string // default: that of the Page
	Data     any
	// Live offers to load the page again every half minute.
	Live bool
}

// Done is where the browser goes after a form, and what it is told there.
type Done struct {
	To   string // path with query below /console/
	Note string
	Keep choiceKept
}

// choiceKept is what the browser remembers of a choice; without a cookie's name there is none.
type choiceKept struct{ cookie, value string }

// console serves the pages on one listener.
type console struct {
	node  string
	log   *slog.Logger
	pages []Page
	// notice is what every page says first.
	notice func() string
	gate   *gate // nil: whoever reaches the listener is the operator
	views  map[string]*template.Template
	css    []byte
}

func newConsole(o Options, g *gate) (*console, error) {
	c := &console{node: o.Name, log: o.Log, pages: o.Pages, notice: o.Notice, gate: g, views: make(map[string]*template.Template)}
	files, err := web.ReadDir("web")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	for _, f := range files {
		name := f.Name()
		if !strings.HasSuffix(name, ".html") || name == "layout.html" {
			continue
		}
		if c.views[name], err = template.ParseFS(web, "web/layout.html", "web/"+name); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	if c.css, err = web.ReadFile("web/style.css"); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return c, nil
}

// handler is everything below /console/.
func (c *console) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+consolePath+"style.css", c.style)
	if c.gate != nil {
		mux.HandleFunc("GET "+consolePath+"signin", c.signInPage)
		mux.HandleFunc("POST "+consolePath+"signin", c.signIn)
		mux.HandleFunc("POST "+consolePath+"signout", c.signOut)
	}
	for i := range c.pages {
		p := &c.pages[i]
		for sub, view := range p.Views {
			mux.Handle("GET "+p.at(sub), c.inside(func(w http.ResponseWriter, r *http.Request) { c.view(w, r, p, view) }))
		}
		for sub, act := range p.Acts {
			mux.Handle("POST "+p.at(sub), c.inside(func(w http.ResponseWriter, r *http.Request) { c.act(w, r, p, act) }))
		}
	}
	mux.Handle("GET "+consolePath+"{$}", c.inside(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, c.pages[0].at(""), http.StatusSeeOther)
	}))
	mux.Handle(consolePath, c.inside(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, nil, &Error{Status: http.StatusNotFound, Text: "The console has nothing at this address."})
	}))
	return c.secure(mux)
}

// at is the address of a page, or of what lies below it.
func (p Page) at(sub string) string {
	if sub == "" {
		return consolePath + p.Path
	}
	return consolePath + p.Path + "/" + sub
}

// secure sets what holds for every answer, before any handler: no script and nothing from elsewhere.
func (c *console) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if c.gate == nil && !loopbackHost(r.Host) {
			http.Error(w, "On this socket the console answers to localhost only.", http.StatusMisdirectedRequest)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formTime))
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		ctx, cancel := context.WithTimeout(r.Context(), storeTime)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (c *console) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Write(c.css)
}

// view shows one address of a page.
func (c *console) view(w http.ResponseWriter, r *http.Request, p *Page, view View) {
	shown, err := view(&Visit{Request: r, By: c.by(r)})
	if err != nil {
		c.fail(w, r, p, err)
		return
	}
	f := c.frame(w, r, p)
	f.Data = shown.Data
	if shown.Title != "" {
		f.Title = shown.Title
	}
	f.Note = takeNote(w, r)
	if shown.Live {
		f.live(r.URL)
	}
	c.write(w, http.StatusOK, shown.Template, f)
}

// act does what a form asks for, and sends the browser on, so that loading the page again does not
// do it twice.
func (c *console) act(w http.ResponseWriter, r *http.Request, p *Page, act Act) {
	if err := formAllowed(r); err != nil {
		c.fail(w, r, p, err)
		return
	}
	done, err := act(&Visit{Request: r, By: c.by(r)})
	if err != nil {
		c.fail(w, r, p, err)
		return
	}
	if done.Keep.cookie != "" {
		setCookie(w, done.Keep.cookie, done.Keep.value, choiceLife)
	}
	if done.Note != "" {
		leaveNote(w, done.Note)
	}
	http.Redirect(w, r, done.To, http.StatusSeeOther)
}

// fail writes an error as a page.
func (c *console) fail(w http.ResponseWriter, r *http.Request, p *Page, err error) {
	f := c.frame(w, r, p)
	f.Title = "That did not work"
	f.Data = err.Error()
	c.write(w, statusOf(err), "error.html", f)
}

func statusOf(err error) int {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own.Status
	case errors.Is(err, broker.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, broker.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, broker.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// frame is what the layout shows around a page.
type frame struct {
	Page     *Page // nil outside of any
	Title    string
	Node     string
	Sections []section
	CSRF     string
	SignOut  bool
	Note     string // what the last form did
	Notice   string // what holds for every page
	// Refresh is the number of seconds after which the page loads itself again; 0 is never. The
	// link turns that on or off.
	Refresh     int
	RefreshLink string
	Data        any
}

// section is a heading of the navigation with its entries.
type section struct {
	Name  string
	Links []link
}

type link struct {
	Title, To string
	Here      bool
}

func (c *console) frame(w http.ResponseWriter, r *http.Request, p *Page) frame {
	f := frame{Page: p, Node: c.node, CSRF: formToken(w, r), SignOut: c.gate != nil}
	if p != nil {
		f.Title = p.Title
		if c.notice != nil {
			f.Notice = c.notice()
		}
	}
	for _, q := range c.pages {
		if n := len(f.Sections); n == 0 || f.Sections[n-1].Name != q.Section {
			f.Sections = append(f.Sections, section{Name: q.Section})
		}
		last := &f.Sections[len(f.Sections)-1]
		last.Links = append(last.Links, link{Title: q.Title, To: q.at(""), Here: p != nil && q.Path == p.Path})
	}
	return f
}

// live offers to refresh the page, or does it when its address says so.
func (f *frame) live(at *url.URL) {
	q := at.Query()
	if refreshing(at) {
		f.Refresh = int(refreshEvery.Seconds())
		q.Del("refresh")
	} else {
		q.Set("refresh", "on")
	}
	f.RefreshLink = "?" + q.Encode()
}

func refreshing(at *url.URL) bool { return at.Query().Get("refresh") == "on" }

func (c *console) write(w http.ResponseWriter, status int, name string, f frame) {
	var b bytes.Buffer
	err := fmt.Errorf("there is no template %s", name)
	if t := c.views[name]; t != nil {
		err = t.ExecuteTemplate(&b, "layout.html", f)
	}
	if err != nil {
		c.log.Error("page failed", "page", f.Title, "error", err)
		http.Error(w, "Something went wrong in this node; its log says what.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a browser that has gone away cannot be told
}
