package logins

import (
	"context"
	"crypto/tls"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxPage bounds the body of an answer to a step.
const maxPage = 4 << 20

// person is one who signs in.
type person struct{ user, password string }

// readPeople reads a CSV file of names and passwords.
func readPeople(file string) ([]person, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord, r.Comment = 2, '#'
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the users in %s: %w", file, err)
	}
	out := make([]person, len(lines))
	for i, l := range lines {
		out[i] = person{l[0], l[1]}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("there are no users in %s", file)
	}
	return out, nil
}

// stepper plays a profile.
type stepper struct {
	t      task
	people []person
	tls    *tls.Config
	local  bool // the target is a loopback address, so clients have addresses of their own
	match  []*regexp.Regexp
	take   []map[string]*regexp.Regexp
}

// runSteps plays the clients of a profile.
func runSteps(ctx context.Context, t task, ready func(string) error) (*Result, error) {
	s, err := newStepper(t)
	if err != nil {
		return nil, err
	}
	if err := ready(""); err != nil {
		return nil, err
	}
	return drive(ctx, t, s.visit).result(true)
}

func newStepper(t task) (*stepper, error) {
	s := &stepper{t: t, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	var err error
	if s.people, err = readPeople(t.People); err != nil {
		return nil, err
	}
	if t.CA != "" {
		if s.tls.RootCAs, err = rootsOf(t.CA); err != nil {
			return nil, err
		}
	}
	if u, err := url.Parse(t.Vars["url"]); err == nil {
		addr, err := netip.ParseAddr(u.Hostname())
		s.local = err == nil && addr.Is4() && addr.IsLoopback()
	}
	for _, step := range t.Profile.Steps {
		m, err := regexp.Compile(step.Match)
		if err != nil {
			return nil, err
		}
		s.match = append(s.match, m)
		groups := make(map[string]*regexp.Regexp)
		for name, e := range step.Extract {
			if groups[name], err = regexp.Compile(e.Regexp); err != nil {
				return nil, err
			}
		}
		s.take = append(s.take, groups)
	}
	return s, nil
}

// visit goes through the steps, on connections of its own.
func (s *stepper) visit(ctx context.Context, v visit) error {
	n := s.t.First + v.n
	who := s.people[n%len(s.people)]
	vars := make(map[string]string)
	for _, from := range []map[string]string{s.t.Profile.Vars, s.t.Vars, {"user": who.user, "password": who.password}} {
		for name, value := range from {
			vars[name] = value
		}
	}
	d := &net.Dialer{Timeout: connectTimeout}
	if s.local {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(sourceOf(n%len(s.people)), 0))
	}
	transport := &http.Transport{DialContext: d.DialContext, TLSClientConfig: s.tls, MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, Jar: jar, Timeout: answerTimeout}
	for i := range s.t.Profile.Steps {
		step := &s.t.Profile.Steps[i]
		client.CheckRedirect = nil
		if !step.Follow {
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		}
		if err := s.step(ctx, client, i, vars); err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
		if step.Name == s.t.Profile.Login {
			v.sample.login = v.elapsed()
		}
	}
	return nil
}

// step makes one request and takes what is wanted from its answer.
func (s *stepper) step(ctx context.Context, client *http.Client, i int, vars map[string]string) error {
	step := &s.t.Profile.Steps[i]
	req, err := step.request(ctx, vars)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error // its text has the URL, which differs from login to login
		if errors.As(err, &u) {
			err = u.Err
		}
		return kind("request", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return kind("read the answer", err)
	}
	if !slices.Contains(step.expected(), res.StatusCode) {
		return fmt.Errorf("answer %d", res.StatusCode)
	}
	if !s.match[i].Match(body) {
		return fmt.Errorf("the answer has no %s", step.Match)
	}
	for name, e := range step.Extract {
		value, err := e.from(res, body, s.take[i][name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		vars[name] = value
	}
	return nil
}

func (s *Step) expected() []int {
	if len(s.Expect) == 0 {
		return []int{http.StatusOK}
	}
	return s.Expect
}

// request is the step with its variables.
func (s *Step) request(ctx context.Context, vars map[string]string) (*http.Request, error) {
	plain := func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
	text := func(t string) (string, error) { return expand(t, plain) }
	// A variable within a URL is one part of it, but for the beginning of all URLs.
	target, err := expand(s.URL, func(name string) (string, bool) {
		v, ok := vars[name]
		if _, preset := vars[name]; preset && name != "url" && !strings.HasPrefix(v, "/") {
			v = strings.ReplaceAll(url.QueryEscape(v), "+", "%20")
		}
		return v, ok
	})
	if err != nil {
		return nil, err
	}
	body, contentType, err := s.body(text)
	if err != nil {
		return nil, err
	}
	method := s.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "switchpoint-bench")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for name, value := range s.Headers {
		if value, err = text(value); err != nil {
			return nil, err
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

func (s *Step) body(text func(string) (string, error)) (body, contentType string, err error) {
	switch {
	case s.JSON != nil:
		out, err := expandJSON(s.JSON, text)
		return string(out), "application/json", err
	case s.Form != nil:
		form := make(url.Values)
		for name, value := range s.Form {
			if name, err = text(name); err != nil {
				return "", "", err
			}
			if value, err = text(value); err != nil {
				return "", "", err
			}
			form.Set(name, value)
		}
		return form.Encode(), "application/x-www-form-urlencoded", nil
	}
	body, err = text(s.Body)
	return body, "", err
}

// from takes a variable from an answer.
func (e Extract) from(res *http.Response, body []byte, group *regexp.Regexp) (string, error) {
	switch {
	case e.Header != "":
		if v := res.Header.Get(e.Header); v != "" {
			return v, nil
		}
		return "", fmt.Errorf("the answer has no header %s", e.Header)
	case e.JSON != "":
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			return "", errors.New("the answer is no JSON")
		}
		return pointed(v, e.JSON)
	}
	found := group.FindSubmatch(body)
	if found == nil {
		return "", fmt.Errorf("the answer has no %s", e.Regexp)
	}
	value := string(found[1])
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		value = html.UnescapeString(value)
	}
	return value, nil
}

// pointed follows a JSON pointer (RFC 6901) to a text, a number or a truth value.
func pointed(v any, pointer string) (string, error) {
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return "", fmt.Errorf("the answer has nothing at %s", pointer)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(at) {
				return "", fmt.Errorf("the answer has nothing at %s", pointer)
			}
			v = at[i]
		default:
			return "", fmt.Errorf("the answer has nothing at %s", pointer)
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("what the answer has at %s is no text", pointer)
}
