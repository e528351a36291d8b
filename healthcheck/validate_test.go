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
	f(Monitor{Kind: "htp"}, `kind: the kind "htp" does not exist; write one of "http", "https", "tcp", `)
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
	f(Monitor{Kind: "tcp", Status: []int{200}}, `status: status is not for kind tcp; remove it or use kind "http" or "https"`)
	f(Monitor{Kind: "tcp", Headers: []string{"A: b"}}, "headers: headers is not for kind tcp")
	f(Monitor{Kind: "tcp", ServerName: "x"}, "server_name: server_name is not for kind tcp")
	f(Monitor{CA: "x"}, `ca: ca is not for kind http; remove it or use kind "https", "tls"`)
	f(Monitor{NoVerify: true}, "no_verify: no_verify is not for kind http")
	f(Monitor{Kind: "https", CA: "x", NoVerify: true}, "no_verify: no_verify makes the given ca meaningless")
}

func TestValidateJudging(t *testing.T) {
	good := Judging{
		FallOf: 5, DownAfter: 16 * time.Second, TimeUntilUp: time.Minute, IntervalTransition: time.Second, IntervalDown: time.Minute,
		ManualResume: true, DependsOn: "gw.company.com:22/other", Maintenance: []string{"Sat 22:00-23:30", "daily 01:00-02:00 Europe/Berlin"},
		AdaptiveDivergence: "50%", AdaptiveLimit: time.Second, FlapLimit: 3, PassiveFall: 2, PassiveWindow: 4,
	}
	other := Monitor{Name: "other", Kind: "tcp", Judging: Judging{NoPassive: true}}
	if err := (Config{Monitors: []Monitor{{Name: "m", Kind: "http", Fall: 3, Judging: good}, other}}).Validate(); err != nil {
		t.Error(err)
	}
	f := func(m Monitor, want string) {
		t.Helper()
		m.Name, m.Kind = "m", "http"
		err := Config{Monitors: []Monitor{m, other}}.Validate()
		var l problem.List
		if !errors.As(err, &l) || len(l) != 1 || !strings.HasPrefix(l[0].Error(), "monitor[0]."+want) || l[0].Cure == "" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	j := func(j Judging) Monitor { return Monitor{Judging: j} }
	f(j(Judging{FallOf: 2}), "fall_of: 3 failures can never be among the last 2 results")
	f(j(Judging{FallOf: 65}), "fall_of: 3 failures can never")
	f(j(Judging{FallOf: 5, DownAfter: time.Second}), "fall_of: 0 failures can never")
	f(j(Judging{DownAfter: -1}), "down_after: -1ns is negative")
	f(j(Judging{IntervalDown: time.Millisecond}), "interval_down: 1ms is too short an interval")
	f(j(Judging{IntervalTransition: -1}), "interval_transition: -1ns is too short an interval")
	f(j(Judging{AdaptiveDivergence: "fast"}), `adaptive_divergence: "fast" is neither a percentage nor a positive duration`)
	f(j(Judging{FlapLimit: 17}), "flap_limit: 17 falls are out of range")
	f(j(Judging{Maintenance: []string{"daily 01:00-02:00", "Sat"}}), `maintenance[1]: "Sat" is not of the form DAYS HH:MM-HH:MM [ZONE]`)
	f(j(Judging{PassiveWindow: 33}), "passive_window: 33 requests are out of range")
	f(j(Judging{PassiveFall: 11}), "passive_fall: 11 failures can never be among the last 10 requests")
	f(j(Judging{PassiveMaxEjected: 101}), "passive_max_ejected: 101 is no percentage")
	f(j(Judging{DependsOn: "nobody"}), `depends_on: the monitor "nobody" does not exist`)
	f(j(Judging{DependsOn: "a/other"}), `depends_on: "a" is no host:port`)
	f(j(Judging{DependsOn: "m"}), `depends_on: the monitor "m" depends on itself`)
	f(j(Judging{DependsOn: "10.0.0.1:1/m"}), `depends_on: the monitor "m" depends on itself`)
	f(Monitor{ReceiveDisable: "regex:("}, "receive_disable: the regular expression")
	f(Monitor{Reverse: true, Send: "GET /"}, "reverse: there is nothing to reverse without receive")
	circle := []Monitor{{Name: "a", Kind: "tcp", Judging: Judging{DependsOn: "b"}}, {Name: "b", Kind: "tcp", Judging: Judging{DependsOn: "c"}}, {Name: "c", Kind: "tcp", Judging: Judging{DependsOn: "a"}}}
	if err := (Config{Monitors: circle}).Validate(); err == nil || strings.Count(err.Error(), "depends on itself") != 3 {
		t.Errorf("a circle: %v", err)
	}
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
	see := func(name string, value func(*Monitor) reflect.Value) {
		var m Monitor
		v := value(&m)
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
			t.Fatalf("field %s: teach this test about %s", name, v.Kind())
		}
		if sameMonitor(m, Monitor{}) {
			t.Errorf("sameMonitor does not see %s", name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Monitor]()) {
		if !f.Anonymous {
			see(f.Name, func(m *Monitor) reflect.Value { return reflect.ValueOf(m).Elem().FieldByIndex(f.Index) })
		}
	}
}
