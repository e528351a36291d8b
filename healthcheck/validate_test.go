package healthcheck

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/problem"
)

func TestValidateSuccess(t *testing.T) {
	for _, m := range []Monitor{
		{Name: "a", Kind: "http"},
		{Name: "a", Kind: "https", CA: "x.pem", ServerName: "cb", Status: []int{200, 301}, Headers: []string{"X: y"}, Receive: "regex:^a"},
		{Name: "a", Kind: "tcp", Send: "PING\r\n", Receive: "+PONG", Interval: time.Second, Timeout: 999 * time.Millisecond},
		{Name: "a", Kind: "http", ServerName: "cb", Send: "HEAD / HTTP/1.0\r\n\r\n"},
	} {
		cfg := Config{Monitors: []Monitor{m}, Checks: []Key{{"10.0.0.1:80", "a"}, {"[::1]:80", "a"}, {"cb.company.com:443", "a"}}}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func TestValidateMonitor(t *testing.T) {
	f := func(m Monitor, want string) {
		t.Helper()
		if m.Name == "" {
			m.Name = "m"
		}
		if m.Kind == "" {
			m.Kind = "http"
		}
		err := Config{Monitors: []Monitor{m}}.Validate()
		var l problem.List
		if !errors.As(err, &l) || len(l) != 1 || !strings.HasPrefix(l[0].Error(), "monitor[0]."+want) || l[0].Cure == "" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(Monitor{Name: " a"}, `name: " a" is no usable monitor name`)
	f(Monitor{Name: "a\tb"}, `name: "a\tb" is no usable monitor name`)
	f(Monitor{Kind: "htp"}, `kind: the kind "htp" does not exist; write "http", "https" or "tcp"`)
	f(Monitor{Interval: time.Millisecond, Timeout: time.Microsecond}, "interval: 1ms is too short an interval")
	f(Monitor{Interval: time.Second}, "timeout: the time-out 2s is not below the interval 1s; write a timeout below the interval")
	f(Monitor{Timeout: -time.Second}, "timeout: -1s is no time-out")
	f(Monitor{Fall: -1}, "fall: -1 failures in a row is out of range")
	f(Monitor{Rise: 5000}, "rise: 5000 successes in a row is out of range")
	f(Monitor{Send: "GET"}, `send: the first line to send, "GET", is no HTTP request line`)
	f(Monitor{Send: "GET /a b c"}, `send: the first line to send`)
	f(Monitor{Send: "GET /\x00"}, `send: the first line to send`)
	f(Monitor{Kind: "tcp", Send: strings.Repeat("x", 20000)}, "send: the string to send has 20000 bytes")
	f(Monitor{Receive: strings.Repeat("x", 5000)}, "receive: the string to receive has 5000 bytes")
	f(Monitor{Receive: "regex:("}, `receive: the regular expression "(" is wrong: error parsing regexp: missing closing )`)
	f(Monitor{Status: []int{200, 503}}, "status[1]: 503 always means overloaded")
	f(Monitor{Status: []int{99}}, "status[0]: 99 is no final HTTP status")
	f(Monitor{Headers: []string{"A: b", "Bad Name: x"}}, `headers[1]: "Bad Name: x" does not begin with a header name and a colon`)
	f(Monitor{Headers: []string{"A: b\r\nInjected: x"}}, `headers[0]: the value of the header "A" has control characters`)
	f(Monitor{Kind: "tcp", Status: []int{200}}, "status: a monitor of kind tcp sees no status")
	f(Monitor{Kind: "tcp", Headers: []string{"A: b"}}, "headers: a monitor of kind tcp sends no headers")
	f(Monitor{Kind: "tcp", ServerName: "x"}, "server_name: a monitor of kind tcp checks no name")
	f(Monitor{CA: "x"}, `ca: a monitor of kind http checks no certificate; remove it or use kind "https"`)
	f(Monitor{NoVerify: true}, "no_verify: a monitor of kind http checks no certificate")
	f(Monitor{Kind: "https", CA: "x", NoVerify: true}, "no_verify: no_verify makes the given ca meaningless")
}

func TestValidateConfig(t *testing.T) {
	f := func(c Config, want ...string) {
		t.Helper()
		err := c.Validate()
		if err == nil || err.Error() != strings.Join(want, "\n") {
			t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
		}
		if _, compileErr := Compile(c); !reflect.DeepEqual(compileErr, err) {
			t.Errorf("Compile: %v", compileErr)
		}
	}
	m := Monitor{Name: "m", Kind: "tcp"}
	f(Config{Settings: Settings{Resolver: "10.0.0.53", MaxInFlight: -1, StartDeadline: -1}},
		`health.start_deadline: -1ns is negative; write a duration such as "10s"`,
		"health.max_in_flight: -1 is negative; write 0 to derive it from the descriptor limit",
		`health.resolver: "10.0.0.53" is no host:port: address 10.0.0.53: missing port in address; write host:port, such as "10.0.0.53:53"`)
	f(Config{Monitors: []Monitor{m, m}},
		`monitor[1].name: the name "m" is already that of monitor[0]; give each monitor its own name`)
	f(Config{Monitors: []Monitor{m}, Checks: []Key{{"a:1", "m"}, {"a:1", "x"}, {"a:1", "x"}, {"a", "m"}, {":1", "m"}, {"a:0", "m"}}},
		`the check of a:1 names the monitor "x", which does not exist; add a [[monitor]] with this name`,
		`the check address "a" under monitor "m" is no host:port: address a: missing port in address; write host:port`,
		`the check address ":1" under monitor "m" is no host:port: the host is missing; write host:port`,
		`the check address "a:0" under monitor "m" is no host:port: the port "0" is not 1 to 65535; write host:port`)
	r := Probe(t.Context(), Monitor{Name: "m"}, "a:1", Settings{})
	if r.State != Down || !strings.HasPrefix(r.Reason, `the monitor is wrong: monitor[0].kind: the monitor "m" has no kind`) {
		t.Errorf("Probe with a wrong monitor: %+v", r)
	}
}

// A changed field of any kind is a changed definition: a field that sameMonitor forgets would
// make a reload keep judging by the old question's answers.
func TestSameMonitorSeesEveryField(t *testing.T) {
	if !sameMonitor(Monitor{Status: []int{1}}, Monitor{Status: []int{1}}) {
		t.Error("equal monitors differ")
	}
	typ := reflect.TypeFor[Monitor]()
	for i := range typ.NumField() {
		var m Monitor
		v := reflect.ValueOf(&m).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Int, reflect.Int64:
			v.SetInt(1)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			t.Fatalf("field %s: teach this test about %s", typ.Field(i).Name, v.Kind())
		}
		if sameMonitor(m, Monitor{}) {
			t.Errorf("sameMonitor does not see %s", typ.Field(i).Name)
		}
	}
}
