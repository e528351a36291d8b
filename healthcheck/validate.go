package healthcheck

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"switchpoint/internal/problem"
)

// Bounds of what a configuration may ask for.
const (
	minInterval = 10 * time.Millisecond
	maxCount    = 1000 // fall, rise
	maxSend     = 16 << 10
	maxReceive  = 4 << 10
)

// WithDefaults gives the settings with every value filled in that has a default.
func (s Settings) WithDefaults() Settings {
	if s.StartDeadline == 0 {
		s.StartDeadline = DefaultStartDeadline
	}
	if s.MaxPerHost == 0 {
		s.MaxPerHost = DefaultMaxPerHost
	}
	if s.FreshEvery == 0 {
		s.FreshEvery = DefaultFreshEvery
	}
	if s.MaxHandshakes == 0 {
		s.MaxHandshakes = DefaultMaxHandshakes
	}
	return s
}

// WithDefaults gives the monitor as it will run: every empty value that has a default is set.
func (m Monitor) WithDefaults() Monitor {
	if m.Interval == 0 {
		m.Interval = DefaultInterval
	}
	if m.Timeout == 0 {
		m.Timeout = DefaultTimeout
	}
	if m.Fall == 0 && m.DownAfter == 0 {
		m.Fall = DefaultFall
	}
	m.Judging = m.Judging.withDefaults(m.Interval)
	if m.Rise == 0 {
		m.Rise = DefaultRise
	}
	if !m.http() {
		return m.kindDefaults()
	}
	if m.Send == "" {
		m.Send = DefaultSend
	}
	if m.Send == DefaultSend && m.Receive == "" {
		m.Receive = DefaultReceive
	}
	if len(m.Status) == 0 {
		m.Status = []int{200}
	}
	return m
}

func (m Monitor) http() bool { return m.Kind == "http" || m.Kind == "https" }

// Validate reports every fault of the health configuration as a problem.List. Paths begin at
// the top of the file: "health.resolver", "monitor[1].timeout".
func (c Config) Validate() error {
	var l problem.List
	l.Under("health", c.Settings.validate())
	names := make(map[string]int, len(c.Monitors))
	for i, m := range c.Monitors {
		path := fmt.Sprintf("monitor[%d]", i)
		l.Under(path, m.Validate())
		if m.Kind == "exec" && !c.Settings.AllowExec {
			l.Addf(path+".kind", "write allow_exec = true in [health]", "monitors that run programs are switched off")
		}
		if first, twice := names[m.Name]; twice && m.Name != "" {
			l.Addf(path+".name", "give each monitor its own name", "the name %q is already that of monitor[%d]", m.Name, first)
		}
		names[m.Name] = i
	}
	c.validateDependencies(&l, names)
	said := make(map[Key]bool)
	for _, k := range c.Checks {
		if said[k] {
			continue
		}
		said[k] = true
		if _, ok := names[k.Monitor]; !ok {
			l.Addf("", "add a [[monitor]] with this name", "the check of %s names the monitor %q, which does not exist", k.Address, k.Monitor)
		}
		if err := hostPort(k.Address); err != nil {
			l.Addf("", "write host:port", "the check address %q under monitor %q is no host:port: %v", k.Address, k.Monitor, err)
		}
	}
	return l.Err()
}

func (s Settings) validate() error {
	var l problem.List
	if s.StartDeadline < 0 {
		l.Addf("start_deadline", `write a duration such as "10s"`, "%s is negative", s.StartDeadline)
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"max_per_host", s.MaxPerHost}, {"fresh_every", s.FreshEvery}, {"max_handshakes", s.MaxHandshakes}} {
		if n.value < 0 {
			l.Addf(n.key, "write a positive number, or leave it out for the default", "%d is negative", n.value)
		}
	}
	if s.MaxInFlight < 0 {
		l.Addf("max_in_flight", "write 0 to derive it from the descriptor limit", "%d is negative", s.MaxInFlight)
	}
	if s.Resolver != "" {
		if err := hostPort(s.Resolver); err != nil {
			l.Addf("resolver", `write host:port, such as "10.0.0.53:53"`, "%q is no host:port: %v", s.Resolver, err)
		}
	}
	return l.Err()
}

// Validate reports every fault of the monitor as a problem.List, with paths inside it.
func (m Monitor) Validate() error {
	var l problem.List
	if m.Name == "" || strings.TrimSpace(m.Name) != m.Name || strings.ContainsFunc(m.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		l.Addf("name", `write a short name such as "is_alive"`, "%q is no usable monitor name", m.Name)
	}
	d := m.WithDefaults()
	d.validateTimes(&l)
	d.validateJudging(&l)
	switch {
	case m.Kind == "":
		l.Addf("kind", "write one of "+kindNames(), "the monitor %q has no kind", m.Name)
	case !slices.Contains(kinds, m.Kind):
		l.Addf("kind", "write one of "+kindNames(), "the kind %q does not exist", m.Kind)
	default:
		m.validateKeys(&l)
		d.validateExchange(&l)
		d.validateKind(&l)
		m.validateTLS(&l)
	}
	return l.Err()
}

func (m Monitor) validateTimes(l *problem.List) {
	if m.Interval < minInterval {
		l.Addf("interval", `write a duration of at least 10ms, such as "5s"`, "%s is too short an interval", m.Interval)
	}
	switch {
	case m.Timeout <= 0:
		l.Addf("timeout", `write a positive duration, such as "2s"`, "%s is no time-out", m.Timeout)
	case m.Timeout >= m.Interval:
		l.Addf("timeout", "write a timeout below the interval", "the time-out %s is not below the interval %s", m.Timeout, m.Interval)
	}
}

func (m Monitor) validateExchange(l *problem.List) {
	if len(m.Send) > maxSend {
		l.Addf("send", "keep it below 16 KB", "the string to send has %d bytes", len(m.Send))
	}
	if len(m.Receive) > maxReceive {
		l.Addf("receive", "keep it below 4 KB", "the string to receive has %d bytes", len(m.Receive))
	} else if _, err := newMatcher(m.Receive); err != nil {
		l.Addf("receive", "correct the regular expression (RE2 syntax)", "%v", err)
	}
	for i, h := range m.Headers {
		if err := checkHeader(h); err != nil {
			l.Addf("headers["+strconv.Itoa(i)+"]", `write "Name: value"`, "%v", err)
		}
	}
	if !m.http() {
		return
	}
	if _, err := newRequest(m); err != nil {
		l.Addf("send", `write a request such as "GET /path"`, "%v", err)
	}
	for i, code := range m.Status {
		at := "status[" + strconv.Itoa(i) + "]"
		switch {
		case code == 503:
			l.Addf(at, "remove it", "503 always means overloaded and cannot be an accepted status")
		case code < 200 || code > 599:
			l.Addf(at, "write codes from 200 to 599", "%d is no final HTTP status", code)
		}
	}
}

func (m Monitor) validateTLS(l *problem.List) {
	if m.NoVerify && m.CA != "" {
		l.Addf("no_verify", "remove one of the two", "no_verify makes the given ca meaningless")
	}
}

// checkHeader refuses anything that could break out of its own header line.
func checkHeader(h string) error {
	name, value, ok := strings.Cut(h, ":")
	if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenRune(r) }) {
		return fmt.Errorf("%q does not begin with a header name and a colon", h)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the value of the header %q has control characters", name)
	}
	return nil
}

func tokenRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func hostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		return fmt.Errorf("the host is missing")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the port %q is not 1 to 65535", port)
	}
	return nil
}

// sameMonitor says whether two definitions ask the same question and judge it alike.
func sameMonitor(a, b Monitor) bool {
	if !slices.Equal(a.Status, b.Status) || !slices.Equal(a.Headers, b.Headers) {
		return false
	}
	return a.Name == b.Name && a.Kind == b.Kind && a.Interval == b.Interval && a.Timeout == b.Timeout &&
		a.Fall == b.Fall && a.Rise == b.Rise && a.Send == b.Send && a.Receive == b.Receive &&
		a.ServerName == b.ServerName && a.CA == b.CA && a.NoVerify == b.NoVerify &&
		a.ReceiveDisable == b.ReceiveDisable && a.Reverse == b.Reverse && sameKindKeys(a, b) && reflect.DeepEqual(a.Judging, b.Judging)
}
