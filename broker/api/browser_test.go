package api_test

import (
	"bytes"
	"context"
	"flag"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cdp "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/chromedp/chromedp/remote"

	"switchpoint/broker"
	"switchpoint/internal/covers"
	"switchpoint/internal/realserver"
	"switchpoint/redirect"
)

var update = flag.Bool("update", false, "write the generated files of docs anew: openapi.json, and the pictures of the pages")

// window is a tab of a real browser in which scripts are switched off.
type window struct {
	t    *testing.T
	ctx  context.Context
	base string
}

func newWindow(t *testing.T, s *site) *window {
	t.Helper()
	b := realserver.Chromium(t, realserver.ChromiumOptions{TrustCert: s.caFile()})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, cancelAllocator := remote.NewAllocator(ctx, b.URL, remote.NoModifyURL)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancelTab(); cancelAllocator(); cancel() })
	w := &window{t: t, ctx: ctx, base: s.url}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	w.do(chromedp.EmulateViewport(1024, 640))
	return w
}

func (w *window) do(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, steps...); err != nil {
		w.t.Fatalf("%v\n%s", err, w.text())
	}
}

func (w *window) open(path string) { w.t.Helper(); w.do(chromedp.Navigate(w.base + path)) }

// expect does what leads to another page, which has that status.
func (w *window) expect(status int64, steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	res, err := chromedp.RunResponse(w.ctx, steps...)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.text())
	}
	if res.Status != status {
		w.t.Fatalf("status %d\n%s", res.Status, w.text())
	}
}

// types what leads to another page with that status, as a person without a mouse does, from where the page
// puts the keyboard: a browser obeys autofocus with its first picture, after the page was loaded.
func (w *window) types(status int64, parts ...string) {
	w.t.Helper()
	waitFor(w.t, "the keyboard stands where the page puts it", func() bool {
		return js[bool](w, `document.activeElement === (document.querySelector("[autofocus]") ?? document.body)`)
	})
	var steps []chromedp.Action[chromedp.Void]
	for _, p := range parts {
		steps = append(steps, chromedp.KeyEvent(p))
	}
	w.expect(status, steps...)
}

func (w *window) text() string {
	text, err := chromedp.Run(w.ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(text), " ")
}

func (w *window) needs(parts ...string) {
	w.t.Helper()
	text := w.text()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			w.t.Errorf("the page has no %q:\n%s", p, text)
		}
	}
}

// becomes waits until the page has come by itself.
func (w *window) becomes(part string) {
	w.t.Helper()
	waitFor(w.t, "the page has "+part, func() bool { return strings.Contains(w.text(), part) })
}

func (w *window) focus(want string) {
	w.t.Helper()
	waitFor(w.t, "the keyboard stands on "+want, func() bool {
		return js[string](w, `document.activeElement?.id || document.activeElement?.innerText || ""`) == want
	})
}

// js asks the browser itself; the page's own scripts stay off.
func js[T any](w *window, expression string) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// look checks that the page fits a phone and can be read by everybody, and keeps a picture when told to.
func (w *window) look(name string) {
	w.t.Helper()
	w.do(chromedp.EmulateViewport(320, 640))
	if wide := js[int64](w, `document.documentElement.scrollWidth`); wide > 320 {
		w.t.Errorf("%s is %d pixels wide on a small phone", name, wide)
	}
	w.do(chromedp.EmulateViewport(1024, 640))
	for what, expression := range map[string]string{
		"fields without a label":          `[...document.querySelectorAll("input:not([type=hidden])")].filter(e => e.labels.length == 0).length`,
		"buttons that are too small":      `[...document.querySelectorAll("button")].filter(e => e.getBoundingClientRect().height < 44).length`,
		"h1 other than one":               `Math.abs(document.querySelectorAll("main h1").length - 1)`,
		"scripts, styles or foreign URLs": `document.querySelectorAll("script, style, [style], [src], link:not([href='/style.css'])").length`,
		"no language":                     `document.documentElement.lang == "en" ? 0 : 1`,
	} {
		if n := js[int](w, expression); n != 0 {
			w.t.Errorf("%s has %s: %d", name, what, n)
		}
	}
	for _, theme := range []string{"light", "dark"} {
		w.theme(theme)
		for _, part := range js[[]string](w, contrast) {
			w.t.Errorf("%s, %s: too little contrast: %s", name, theme, part)
		}
	}
	w.theme("light")
	w.do(chromedp.EmulateViewport(480, 420))
	picture, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil {
		w.t.Fatalf("a picture of %s: %v", name, err)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "img", name+".png"), picture, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.do(chromedp.EmulateViewport(1024, 640))
}

func (w *window) theme(name string) {
	w.t.Helper()
	p := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, p); err != nil {
		w.t.Fatal(err)
	}
}

// contrast lists the texts whose contrast with what is behind them is below 4.5 to 1 (WCAG 2.2, 1.4.3).
const contrast = `(() => {
	const rgb = c => (c.match(/[\d.]+/g) || []).map(Number)
	const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b }
	const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length == 3 || c[3] > 0) return c } return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255] }
	return [...document.querySelectorAll("h1, p, label, a, button, strong, span, footer, input:not([type=hidden])")].filter(e => !e.disabled && (e.innerText || e.value)).filter(e => {
		const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e))
		return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) < 4.5
	}).map(e => e.tagName + " " + (e.innerText || e.value) + " " + getComputedStyle(e).color)
})()`

// staged is the broker itself, but on a day when anna's password has expired and many people sign in.
type staged struct {
	*broker.Broker
	changed atomic.Bool
	asked   atomic.Int32
}

func (d *staged) Login(ctx context.Context, req broker.LoginRequest) broker.LoginResult {
	switch {
	case req.Password != "p" && req.Password != "old":
		return d.Broker.Login(ctx, req)
	case req.NewPassword == "" && !d.changed.Load():
		return prompted(broker.CodePasswordExpired)
	case req.NewPassword == "simple":
		return broker.LoginResult{Prompt: &broker.Prompt{Kind: broker.PromptNewPassword, Text: "The directory does not take this new password. Please choose another one.", Code: broker.CodePasswordPolicy}}
	}
	d.changed.Store(true)
	return queued(12, time.Second)
}

// LoginOutcome signs anna in at the third question.
func (d *staged) LoginOutcome(ctx context.Context, id string) broker.LoginResult {
	if n := d.asked.Add(1); n < 3 {
		return queued(12-5*int(n), time.Second)
	}
	return d.Broker.Login(ctx, broker.LoginRequest{User: "anna", Password: "p", ClientName: "browser", ClientAddr: "127.0.0.1"})
}

// TestJourneyInABrowser goes the whole way in a real browser without scripts, by the keyboard alone: a
// wrong password, a new password, the queue, the desktops, a connection file, out again.
func TestJourneyInABrowser(t *testing.T) {
	covers.Req(t, "LG5")
	s := start(t, config{})
	s.fill(t, localSetup(t))
	s.SetLogins(&staged{Broker: s.broker})
	w := newWindow(t, s)

	w.open("/")
	w.needs("Sign in", "User name", "Password", "broker-1, site 1, cluster uk, london")
	w.focus("user")
	w.types(http.StatusUnauthorized, "anna", kb.Tab, "wrong", kb.Enter)
	w.needs("The user name or the password is not right.", "Reference 1-")
	w.focus("password")
	w.look("signin-refused")

	w.types(http.StatusOK, "p", kb.Enter)
	w.needs("New password", "Please choose a new one.", "Old password")
	w.focus("password")
	w.look("signin-new-password")
	if old := js[string](w, `document.querySelector("#password").value`); old != "" {
		t.Errorf("the old password stands in the page: %q", old)
	}
	w.types(http.StatusBadRequest, "p", kb.Tab, "new", kb.Tab, "other", kb.Enter)
	w.needs("The two new passwords are not the same.")
	w.types(http.StatusOK, "p", kb.Tab, "simple", kb.Tab, "simple", kb.Enter)
	w.needs("does not take this new password")

	w.types(http.StatusOK, "p", kb.Tab, "new", kb.Tab, "new", kb.Enter)
	w.needs("Waiting", "12 people are before you", "This page goes on by itself")
	w.look("signin-waiting")
	if url := js[string](w, `location.href + document.documentElement.outerHTML`); strings.Contains(url, "sw1.") {
		t.Errorf("the id of the login is in the page: %s", url)
	}
	w.becomes("Signed in as anna")
	if at := js[string](w, `location.pathname + document.cookie`); at != "/desktops" {
		t.Errorf("at %q", at)
	}
	w.needs("Desktops", "anna-pc", "available", "floor")
	w.look("signin-desktops")

	if name := download(w, `button[aria-label="Connect to anna-pc"]`); name != "anna-pc.rdp" {
		t.Errorf("downloaded %q", name)
	}
	w.expect(http.StatusOK, chromedp.Click(chromedp.CSS(`button.quiet`)))
	w.needs("Sign in", "User name")
	w.open("/desktops")
	w.needs("Sign in", "User name")
}

// download presses a button and gives the name of the file that comes for it.
func download(w *window, button string) string {
	w.t.Helper()
	names := make(chan string, 1)
	err := chromedp.ListenBrowser(w.ctx, func(ev any) {
		if d, ok := ev.(*cdp.EventDownloadWillBegin); ok {
			select {
			case names <- d.SuggestedFilename:
			default:
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	on := true
	if _, err := chromedp.CallBrowser(w.ctx, cdp.SetDownloadBehavior, cdp.SetDownloadBehaviorParams{Behavior: cdp.SetDownloadBehaviorBehaviorDeny, EventsEnabled: &on}); err != nil {
		w.t.Fatal(err)
	}
	w.do(chromedp.Click(chromedp.CSS(button)))
	select {
	case name := <-names:
		return name
	case <-time.After(30 * time.Second):
		w.t.Fatal("nothing is downloaded")
	}
	return ""
}

// homeward is a broker that sends everybody to another cluster with a ticket.
type homeward struct {
	*broker.Broker
	home string
}

func (h *homeward) Login(context.Context, broker.LoginRequest) broker.LoginResult {
	return broker.LoginResult{Redirect: h.home, Ticket: "st1.good.ticket"}
}

// welcoming is that other cluster: its ticket is good once.
type welcoming struct {
	*broker.Broker
	used atomic.Bool
}

func (h *welcoming) Login(ctx context.Context, req broker.LoginRequest) broker.LoginResult {
	if req.Ticket == "" {
		return h.Broker.Login(ctx, req)
	}
	if req.Ticket != "st1.good.ticket" || h.used.Swap(true) {
		return broker.LoginResult{Refusal: &broker.Refusal{Code: broker.CodeTicket, Text: "Please sign in with your password.", Ref: "1-used"}}
	}
	return h.Broker.Login(ctx, broker.LoginRequest{User: "anna", Password: "p", Directory: broker.LocalDirectory, ClientName: "browser", ClientAddr: req.ClientAddr})
}

// TestRoamingInABrowser: the home cluster takes the ticket. As a cluster of the same site it signs in at
// once; of another site it asks first, as anybody could have made that link.
func TestRoamingInABrowser(t *testing.T) {
	us := start(t, config{cluster: "us"})
	us.fill(t, localSetup(t))
	uk := start(t, config{twin: us})
	for name, home := range map[string]string{"same site": us.url, "another site": strings.Replace(us.url, "127.0.0.1", "localhost", 1)} {
		t.Run(name, func(t *testing.T) {
			us.SetLogins(&welcoming{Broker: us.broker})
			uk.SetLogins(&homeward{Broker: uk.broker, home: home})
			setup := localSetup(t)
			setup.Destinations = []redirect.Destination{{Name: "us", URL: home, Cluster: "us", Monitor: "alive"}}
			uk.fill(t, setup)
			w := newWindow(t, uk)
			w.open("/signin")
			w.types(http.StatusOK, "anna", kb.Tab, "p", kb.Enter)
			if name == "another site" {
				w.needs("Continue the sign-in", "Another data centre has sent you here")
				w.focus("Continue")
				w.look("signin-ticket")
				w.types(http.StatusOK, kb.Enter)
			}
			w.needs("Signed in as anna", "cluster us")
			if at := js[string](w, `location.href`); at != home+"/desktops" {
				t.Errorf("at %s", at)
			}
			w.base = home
			w.open("/signin?ticket=st1.good.ticket") // typed by hand, or out of a mail
			w.needs("Continue the sign-in")
			w.types(http.StatusUnauthorized, kb.Enter)
			w.needs("Please sign in with your password.", "Reference 1-used", "User name")
		})
	}
}

// TestPortalInABrowser: who comes from a page of another site, by a link to the broker, is still signed in.
func TestPortalInABrowser(t *testing.T) {
	s := start(t, config{})
	s.fill(t, localSetup(t))
	portal := start(t, config{twin: s, cluster: "portal"})
	portal.SetLogins(&homeward{Broker: portal.broker, home: strings.Replace(s.url, "127.0.0.1", "localhost", 1)})
	w := newWindow(t, s)
	w.base = strings.Replace(s.url, "127.0.0.1", "localhost", 1)
	w.open("/")
	w.types(http.StatusOK, "anna", kb.Tab, "p", kb.Enter)
	w.needs("Signed in as anna")
	w.base = portal.url
	w.open("/signin")
	if _, err := chromedp.Run(w.ctx, chromedp.Evaluate[any](`(() => { const a = document.createElement("a"); a.href = "`+strings.Replace(s.url, "127.0.0.1", "localhost", 1)+`/"; a.id = "portal"; a.innerText = "My desktops"; document.querySelector("main").append(a) })()`)); err != nil {
		t.Fatal(err)
	}
	w.do(chromedp.Click(chromedp.CSS("#portal")))
	w.becomes("Signed in as anna")
}
