package gtm

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

func note(reason string) steer.Note {
	return steer.Note{Owner: "ann", Reason: reason, At: time.Now().UTC()}
}

// force forces a pattern into a state, which must be accepted.
func force(t *testing.T, s *Server, pattern, state string, past bool) {
	t.Helper()
	v := steer.Override{Pattern: pattern, State: state, Note: note("test")}
	if _, _, err := s.Operate(t.Context(), "ann", Force(v), past); err != nil {
		t.Fatalf("force %s %s: %v", pattern, state, err)
	}
}

// in lists the datacenters that take part for the first name.
func in(s *Server) string {
	var out []string
	for _, p := range s.Status().Names[0].Pools {
		if p.In {
			out = append(out, p.Datacenter)
		}
	}
	return strings.Join(out, " ")
}

// TestOperateOverrides: each word has its effect at once, on answers and on gauges; is kept across a
// restart; and ends when it is released or over.
func TestOperateOverrides(t *testing.T) {
	table, snap := threePools(t, func(c *Config) { c.Names[0].Method = steer.MethodRoundRobin })
	o := Options{Name: "n1", StateDir: t.TempDir(), Snapshot: func() *healthcheck.Snapshot { return snap }}
	reg := prometheus.NewRegistry()
	o.Metrics = reg
	s, addr := startServer(t, o, table)
	answered := func(want ...string) {
		t.Helper()
		got := addresses(ask(t, "udp", addr, "cb.company.com.", dns.TypeA).Answer)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("answered %v, want %v", got, want)
		}
	}
	answered("10.1.0.1", "10.1.0.2")
	force(t, s, "cb.company.com/us/10.1.0.1:443", "maintenance", false)
	answered("10.1.0.2")
	force(t, s, "*/us", "draining", false)
	answered("10.2.0.1")
	if in(s) != "uk de" {
		t.Errorf("in: %s", in(s))
	}
	want := `# HELP switchpoint_gtm_datacenter_in 1 when the datacenter takes part in the choice for the steered name, else 0.
# TYPE switchpoint_gtm_datacenter_in gauge
switchpoint_gtm_datacenter_in{datacenter="de",name="cb.company.com."} 1
switchpoint_gtm_datacenter_in{datacenter="uk",name="cb.company.com."} 1
switchpoint_gtm_datacenter_in{datacenter="us",name="cb.company.com."} 0
# HELP switchpoint_gtm_mode 1 for the mode of operation that is set, primary or dr, 0 for the other.
# TYPE switchpoint_gtm_mode gauge
switchpoint_gtm_mode{mode="dr"} 0
switchpoint_gtm_mode{mode="primary"} 1
# HELP switchpoint_gtm_all_down 1 while nothing serves the steered name and its all-down policy answers, else 0.
# TYPE switchpoint_gtm_all_down gauge
switchpoint_gtm_all_down{name="cb.company.com."} 0
# HELP switchpoint_gtm_shed_ratio Share of the datacenter's clients that goes elsewhere, because of overload or of prefer_normal, 0 to 1.
# TYPE switchpoint_gtm_shed_ratio gauge
switchpoint_gtm_shed_ratio{datacenter="de",name="cb.company.com."} 0
switchpoint_gtm_shed_ratio{datacenter="uk",name="cb.company.com."} 0
switchpoint_gtm_shed_ratio{datacenter="us",name="cb.company.com."} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "switchpoint_gtm_datacenter_in",
		"switchpoint_gtm_mode", "switchpoint_gtm_all_down", "switchpoint_gtm_shed_ratio"); err != nil {
		t.Error(err)
	}

	o.Metrics = nil
	again, addr2 := startServer(t, o, table)
	addr = addr2
	answered("10.2.0.1")
	if doc := again.Status().Operator; len(doc.Overrides) != 2 || doc.Overrides[1].Owner != "ann" || doc.Overrides[1].Reason != "test" {
		t.Errorf("after a restart: %+v", doc)
	}
	var removed []steer.Override
	if _, _, err := again.Operate(t.Context(), "ann", Release("*/us", note(""), &removed), false); err != nil || len(removed) != 2 {
		t.Errorf("released %v, %v", removed, err)
	}
	answered("10.1.0.1", "10.1.0.2")
}

// TestOperateRefuses: the last datacenter stays in whatever an operator says; what nobody could read
// later is not taken; and nothing of it stays.
func TestOperateRefuses(t *testing.T) {
	table, snap := threePools(t, nil)
	s, _ := startServer(t, Options{Name: "n1", Snapshot: func() *healthcheck.Snapshot { return snap }}, table)
	force(t, s, "*/us", "down", false)
	force(t, s, "*/de", "down", false)
	before := s.Status().Operator.Version
	down := func(pattern string) steer.Override {
		return steer.Override{Pattern: pattern, State: "down", Note: note("test")}
	}
	over, silent := down("*/uk"), down("*/uk")
	over.Until = time.Now().Add(-time.Minute)
	silent.Reason = " "
	var none []steer.Override
	for what, change := range map[string]func(*steer.Operator) error{
		"min_datacenters wants 1": Force(down("*/uk")),
		"ended":                   Force(over),
		"a reason is missing":     Force(silent),
		"empty part":              Force(down("cb.company.com//")),
		"is no mode":              SetMode("backup", note("test")),
		"an owner is missing":     SetMode("dr", steer.Note{Reason: "x"}),
		"there is no pattern":     Release("", note(""), &none),
	} {
		_, _, err := s.Operate(t.Context(), "ann", change, true)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
		var unsafe *UnsafeError
		if errors.As(err, &unsafe) != (what == "min_datacenters wants 1") {
			t.Errorf("%s: %T", what, err)
		}
	}
	if s.Status().Operator.Version != before || in(s) != "uk" {
		t.Errorf("version %d, was %d; in: %s", s.Status().Operator.Version, before, in(s))
	}
	empty, _ := startServer(t, Options{Name: "n2"}, nil)
	if _, _, err := empty.Operate(t.Context(), "ann", Force(down("*/us")), false); err == nil || !strings.Contains(err.Error(), "no configuration yet") {
		t.Errorf("before a configuration: %v", err)
	}
}

// TestModeSwitch: one explicit switch moves the name to the DR cluster and back (TP4); with nothing
// there it is refused unless forced.
func TestModeSwitch(t *testing.T) {
	covers.Req(t, "TP4")
	table, snap := threePools(t, func(c *Config) {
		c.Names[0].Between, c.Names[0].Pools[2].Mode = steer.BetweenMode, "dr"
	})
	s, addr := startServer(t, Options{Name: "n1", Snapshot: func() *healthcheck.Snapshot { return snap }}, table)
	answered := func(want string) {
		t.Helper()
		for _, network := range []string{"udp", "tcp"} {
			for _, rr := range ask(t, network, addr, "cb.company.com.", dns.TypeA).Answer {
				if got := rr.(*dns.A).A.String(); !strings.HasPrefix(got, want) {
					t.Errorf("%s: answered %s, want %s", network, got, want)
				}
			}
			for _, rr := range ask(t, network, addr, "_connection_broker._tcp.company.com.", dns.TypeSRV).Answer {
				if target := rr.(*dns.SRV).Target; strings.Contains(target, ".de.") != (want == "10.3.") {
					t.Errorf("%s: SRV %s while %s is answered", network, target, want)
				}
			}
		}
	}
	answered("10.1.")
	for _, m := range []struct{ mode, want string }{{"dr", "10.3."}, {"dr", "10.3."}, {"primary", "10.1."}, {"dr", "10.3."}} {
		if _, _, err := s.Operate(t.Context(), "ann", SetMode(m.mode, note("drill")), false); err != nil {
			t.Fatal(err)
		}
		answered(m.want)
	}
	if st := s.Status(); st.Mode != "dr" || st.Operator.ModeWhy.Owner != "ann" || in(s) != "de" {
		t.Errorf("%+v, in: %s", st.Operator, in(s))
	}
}
