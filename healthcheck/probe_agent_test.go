package healthcheck

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestAgentSays(t *testing.T) {
	f := func(line string, state State, reason string, weight, capacity int) {
		t.Helper()
		w := agentSays(line)
		if w.state != state || w.reason != reason || w.load.Weight != weight || w.load.Capacity != capacity || w.load.Active != -1 {
			t.Errorf("%q: %+v, want %s (%s) %d %d", line, w, state, reason, weight, capacity)
		}
	}
	f("up", Up, "the agent says up", 0, -1)
	f("75%", Up, "the agent says 75%", 75, -1)
	f("ready 75%", Up, "the agent says ready", 75, -1)
	f(" UP,\t150% ,maxconn:30", Up, "the agent says UP", 150, 30)
	f("0%", Draining, "the agent says 0%", 0, -1)
	f("drain", Draining, "the agent says drain", 0, -1)
	f("up drain", Draining, "the agent says drain", 0, -1)
	f("maint", Maintenance, "the agent says maint", 0, -1)
	f("down maint 50%", Maintenance, "the agent says maint", 50, -1)
	f("down", Down, "the agent says down", 0, -1)
	f("ready,fail 50%", Down, "the agent says fail", 0, -1)
	f("fail#disk full", Down, `the agent says fail: "disk full"`, 0, -1)
	f("stopped # \x1b[2J", Down, `the agent says stopped: "\x1b[2J"`, 0, -1)
	f("", Down, "the agent says nothing", 0, -1)
	f(" # only a remark", Down, "the agent says nothing", 0, -1)
	for _, odd := range []string{"alive", "%", "-5%", "+5%", "7.5%", "1234567%", "maxconn:", "maxconn:x"} {
		f("up "+odd, Down, `the agent says "`+odd+`", which is no word of the protocol`, 0, -1)
	}
}

func FuzzAgentSays(f *testing.F) {
	for _, s := range []string{"", "up", "75% maxconn:3", "drain#x", "maint,down", "9999999999%", "\xff%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		w := agentSays(line)
		if w.state == Unknown || w.state == Overloaded || w.reason == "" {
			t.Fatalf("%q: %+v", line, w)
		}
		if w.load.Weight < 0 || w.load.Capacity < -1 || len(w.reason) > 1000 || strings.ContainsAny(w.reason, "\x1b\n\x00") {
			t.Fatalf("%q: %+v", line, w)
		}
		if w.state == Up && strings.Contains(strings.ToLower(strings.SplitN(line, "#", 2)[0]), "down") {
			t.Fatalf("%q counts as up", line)
		}
	})
}

func TestAgent(t *testing.T) {
	f := func(send string, talk func(net.Conn), state State, reason string) Result {
		t.Helper()
		m := quick("agent")
		m.Send = send
		if strings.HasPrefix(reason, "timed out") {
			m.Timeout = 150 * time.Millisecond
		}
		r := Probe(t.Context(), m, responder(t, talk), Settings{})
		if r.State != state || r.Reason != reason || r.TimedOut != (m.Timeout < time.Second) || len(r.FirstBytes) > firstBytes {
			t.Errorf("got %s (%s), want %s (%s): %+v", r.State, r.Reason, state, reason, r)
		}
		return r
	}
	r := f("", then(write("75"), write("%\n"), stall), Up, "the agent says 75%")
	if r.Load != (Load{Active: -1, Capacity: -1, Weight: 75}) || r.TTFB <= 0 || string(r.FirstBytes) != "75%" {
		t.Errorf("facts: %+v", r)
	}
	f("", write("up"), Up, "the agent says up") // the end of the stream ends the line
	f("", then(write("drain\r\nup\r\n"), stall), Draining, "the agent says drain")
	f("cb1\n", func(c net.Conn) {
		buf := make([]byte, 4)
		if _, err := c.Read(buf); err == nil && string(buf) == "cb1\n" {
			write("maint\n")(c)
		}
		stall(c)
	}, Maintenance, "the agent says maint")
	f("", then(write("\n"), stall), Down, "the agent says nothing")
	f("", then(write("220 mail ready\r\n"), stall), Down, `the agent says "220", which is no word of the protocol`)
	f("", func(net.Conn) {}, Down, "connection closed before the first byte")
	f("", stall, Down, "timed out before the first byte")
	f("", then(write("dra"), stall), Down, `timed out before the end of the line: so far it was "dra"`)
	f("", endless("up "), Down, `the line is longer than 1024 bytes, it begins with "up up up up up up up up up up up up up up up up up up up up "...`)
	m := quick("agent")
	m.Timeout = 150 * time.Millisecond
	if r := Probe(t.Context(), m, responder(t, drips("u")), Settings{}); !strings.HasPrefix(r.Reason, `timed out before the end of the line: so far it was "u`) || !r.TimedOut {
		t.Errorf("%+v", r)
	}
	// How far the probe gets before the reset is the network's affair; the word must not count.
	if r := Probe(t.Context(), quick("agent"), responder(t, then(write("up"), reset)), Settings{}); r.State != Down || !strings.HasPrefix(r.Reason, "connection reset ") {
		t.Errorf("%+v", r)
	}
	if r := Probe(t.Context(), quick("agent"), refused(t), Settings{}); r.Reason != "connection refused" {
		t.Errorf("%+v", r)
	}
}

// The port of a monitor stands in for that of the target.
func TestPortOfMonitor(t *testing.T) {
	addr := responder(t, then(write("up\n"), stall))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	m := quick("agent")
	if m.Port, err = net.LookupPort("tcp", port); err != nil {
		t.Fatal(err)
	}
	if r := Probe(t.Context(), m, refused(t), Settings{}); r.State != Up {
		t.Errorf("%+v", r)
	}
	m.Port = 8080
	for address, want := range map[string]string{"10.0.0.1:443": "10.0.0.1:8080", "[::1]:443": "[::1]:8080", "cb": "cb"} {
		if got := m.atPort(address); got != want {
			t.Errorf("%s at port 8080: %s", address, got)
		}
	}
}
