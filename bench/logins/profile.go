package logins

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Profile is what the client of some product does, as HTTP steps: for systems that do not speak our
// API. In all texts of a step {name} stands for a variable: user, password and url, those of Vars,
// and what earlier steps have taken from answers. {{ and }} are braces.
type Profile struct {
	Name  string            `json:"name"`
	About string            `json:"about,omitempty"`
	Vars  map[string]string `json:"vars,omitempty"` // with their defaults
	// Login is the step after which the user is signed in: latency is measured up to its end.
	Login string `json:"login"`
	Steps []Step `json:"steps"`
}

// Step is one request. At most one of Body, JSON and Form is given.
type Step struct {
	Name    string            `json:"name"`
	Method  string            `json:"method,omitempty"` // default GET
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	JSON    json.RawMessage   `json:"json,omitempty"` // variables in its texts
	Form    map[string]string `json:"form,omitempty"` // variables in names and values
	// Expect lists the statuses that are right; default 200.
	Expect []int `json:"expect,omitempty"`
	// Match is a regular expression (RE2) that the body must have.
	Match string `json:"match,omitempty"`
	// Extract takes variables from the answer.
	Extract map[string]Extract `json:"extract,omitempty"`
	// Follow redirects. Cookies are kept either way.
	Follow bool `json:"follow,omitempty"`
}

// Extract is where a variable stands in an answer: exactly one is given.
type Extract struct {
	JSON   string `json:"json,omitempty"`   // a pointer (RFC 6901)
	Regexp string `json:"regexp,omitempty"` // its first group; of an HTML page, unescaped
	Header string `json:"header,omitempty"`
}

const maxProfileFile = 1 << 20

// shipped are the profiles that come with the program.
//
//go:embed profiles/*.json
var shipped embed.FS

// Profiles lists those that come with the program.
func Profiles() []string {
	var out []string
	files, _ := fs.Glob(shipped, "profiles/*.json") // the pattern is right
	for _, f := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return out
}

// LoadProfile reads a profile: one that comes with the program by its name, else a file.
func LoadProfile(name string) (*Profile, error) {
	text, err := fs.ReadFile(shipped, "profiles/"+name+".json")
	if err != nil {
		info, statErr := os.Stat(name)
		switch {
		case statErr != nil:
			return nil, fmt.Errorf("read the profile: %w (those that come with the program are %s)", statErr, strings.Join(Profiles(), ", "))
		case info.Size() > maxProfileFile:
			return nil, fmt.Errorf("read the profile %s: it has more than %d bytes", name, maxProfileFile)
		}
		if text, err = os.ReadFile(filepath.Clean(name)); err != nil {
			return nil, fmt.Errorf("read the profile: %w", err)
		}
	}
	p, err := ParseProfile(text)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return p, nil
}

// ParseProfile reads and checks a profile. A key that is not known is an error.
func ParseProfile(text []byte) (*Profile, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var p Profile
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if d.More() {
		return nil, errors.New("something follows the profile")
	}
	return &p, p.validate()
}

// given are the variables that every profile has.
var given = []string{"user", "password", "url"}

func (p *Profile) validate() error {
	known := slices.Concat(given, slices.Collect(maps.Keys(p.Vars)))
	var problems []error
	for name, v := range p.Vars {
		problems = append(problems, checkTexts("vars."+name, nil, v))
	}
	login := false
	for i := range p.Steps {
		s := &p.Steps[i]
		login = login || s.Name == p.Login
		for _, err := range s.validate(known) {
			problems = append(problems, fmt.Errorf("step %d (%s): %w", i+1, s.Name, err))
		}
		known = slices.AppendSeq(known, maps.Keys(s.Extract))
	}
	if len(p.Steps) == 0 {
		problems = append(problems, errors.New("it has no steps"))
	} else if !login {
		problems = append(problems, fmt.Errorf("login: no step is named %q", p.Login))
	}
	return errors.Join(problems...)
}

func (s *Step) validate(known []string) (problems []error) {
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	if s.Name == "" || s.URL == "" {
		add(errors.New("a step needs a name and a url"))
	}
	add(checkTexts("url", known, s.URL))
	add(checkTexts("body", known, s.Body))
	for name, v := range s.Headers {
		add(checkTexts("headers."+name, known, v))
	}
	for name, v := range s.Form {
		add(checkTexts("form."+name, known, name, v))
	}
	bodies := 0
	for _, has := range []bool{s.Body != "", s.JSON != nil, s.Form != nil} {
		if has {
			bodies++
		}
	}
	if bodies > 1 {
		add(errors.New("give one of body, json and form"))
	}
	if s.JSON != nil {
		_, err := expandJSON(s.JSON, func(text string) (string, error) { return "", checkTexts("json", known, text) })
		add(err)
	}
	for _, status := range s.Expect {
		if status < 100 || status > 599 || http.StatusText(status) == "" {
			add(fmt.Errorf("expect: %d is no status", status))
		}
	}
	if _, err := regexp.Compile(s.Match); err != nil {
		add(fmt.Errorf("match: %w", err))
	}
	for name, e := range s.Extract {
		if err := e.validate(); err != nil {
			add(fmt.Errorf("extract.%s: %w", name, err))
		}
	}
	return problems
}

func (e Extract) validate() error {
	ways := 0
	for _, w := range []string{e.JSON, e.Regexp, e.Header} {
		if w != "" {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("give one of json, regexp and header")
	}
	if e.JSON != "" && !strings.HasPrefix(e.JSON, "/") {
		return fmt.Errorf("the pointer %q does not begin with a slash", e.JSON)
	}
	if e.Regexp != "" {
		re, err := regexp.Compile(e.Regexp)
		if err != nil {
			return err
		}
		if re.NumSubexp() < 1 {
			return fmt.Errorf("%q has no group to take", e.Regexp)
		}
	}
	return nil
}

// checkTexts refuses variables that nothing sets.
func checkTexts(where string, known []string, texts ...string) error {
	for _, text := range texts {
		_, err := expand(text, func(name string) (string, bool) { return "", slices.Contains(known, name) })
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return nil
}

// expand puts variables into a text.
func expand(text string, value func(name string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexAny(text, "{}")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		b.WriteString(text[:i])
		if strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}") {
			b.WriteByte(text[i])
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if text[i] == '}' || end < 0 {
			return "", fmt.Errorf("a brace that is alone in %q: write {{ or }}", text)
		}
		name := text[i+1 : i+end]
		v, ok := value(name)
		if !ok {
			return "", fmt.Errorf("nothing sets {%s}", name)
		}
		b.WriteString(v)
		text = text[i+end+1:]
	}
}

// expandJSON does the same for every text in a JSON value.
func expandJSON(value json.RawMessage, text func(string) (string, error)) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	v, err := walkJSON(v, text)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func walkJSON(v any, text func(string) (string, error)) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		for i := range v {
			if v[i], err = walkJSON(v[i], text); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = walkJSON(v[name], text); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
