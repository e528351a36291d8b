package gtm

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

// TestHealthOfNames is GT5, clause by clause, as clients see it; steer has the tables of each rule.
func TestHealthOfNames(t *testing.T) {
	covers.Req(t, "GT5")
	t.Run("group threshold", groupThreshold)
	t.Run("failback delay", failbackDelay)
	t.Run("demotions per minute", demotions)
	t.Run("override and safety rule", overrides)
	t.Run("all down", allDown)
	t.Run("probes, manual resume and overrides over a restart", outlivesRestart)
}

// stage is a name cb.c with two members in each of us, uk and de, made-up health and a made-up clock.
type stage struct {
	t      *testing.T
	table  *Table
	keys   []healthcheck.Key
	said   steer.Operator
	server *Server // whose log is told; nil: none
	view   *steer.View
	start  time.Time
}

func newStage(t *testing.T, change func(*Name)) *stage {
	s := &stage{t: t, start: time.Unix(1e9, 0)}
	cfg := Config{
		Listen: []string{"127.0.0.1:0"}, Datacenter: "us", Datacenters: []string{"us", "uk", "de"},
		Zones: []Zone{{Origin: "c", NS: []string{"ns.example.net"}}},
		Names: []Name{{Name: "cb.c", Monitor: "m", Pools: []Pool{
			{Datacenter: "us", Members: []Member{{Address: "10.1.0.1", Port: 1}, {Address: "10.1.0.2", Port: 1}}},
			{Datacenter: "uk", Members: []Member{{Address: "10.2.0.1", Port: 1}, {Address: "10.2.0.2", Port: 1}}},
			{Datacenter: "de", Members: []Member{{Address: "10.3.0.1", Port: 1}, {Address: "10.3.0.2", Port: 1}}},
		}}},
	}
	change(&cfg.Names[0])
	s.keys = cfg.Checks()
	var err error
	s.table, err = Compile(cfg, func(k healthcheck.Key) healthcheck.Ref { return healthcheck.Ref(slices.Index(s.keys, k)) })
	if err != nil {
		t.Fatal(err)
	}
	s.at(0)
	return s
}

// at makes the view at a time after the start, when the members whose addresses begin so are down:
// "10.1" is us, "10.2" uk, "10.3" de.
func (s *stage) at(after time.Duration, down ...string) {
	said := s.said
	s.view = steer.Direct(s.table.steering, s.view, steer.Circumstances{
		Now: s.start.Add(after), Operator: &said,
		Status: func(r healthcheck.Ref) healthcheck.Status {
			for _, d := range down {
				if strings.HasPrefix(s.keys[r].Address, d) {
					return healthcheck.Status{State: healthcheck.Down, Reason: "refused"}
				}
			}
			return healthcheck.Status{State: healthcheck.Up}
		},
	})
	if s.server != nil {
		for _, e := range s.view.Events() {
			s.server.tell(e)
		}
	}
}

// ask gives the answer to a client whose order of datacenters is us, uk, de.
func (s *stage) ask() Answer {
	return Resolve(s.table, s.view, Question{Name: "cb.c.", Type: typeA, Client: netip.MustParseAddr("192.0.2.1")})
}

// want compares the addresses answered; their order does not count.
func (s *stage) want(want ...string) {
	s.t.Helper()
	ans := s.ask()
	got := addresses(ans.Answer)
	if slices.Sort(got); !slices.Equal(got, want) {
		s.t.Errorf("got %v, want %v\n%s", got, want, ans.Reason)
	}
}

func groupThreshold(t *testing.T) {
	s := newStage(t, func(n *Name) { n.UpThresh = 0.6 })
	s.want("10.1.0.1", "10.1.0.2")
	s.at(0, "10.1.0.1")
	s.want("10.2.0.1", "10.2.0.2")
	s.at(0, "10.1.0.1", "10.2", "10.3") // a last resort, as the demotion limit keeps the others for now
	s.at(3*time.Minute, "10.1.0.1", "10.2", "10.3")
	s.want("10.1.0.2")
}

func failbackDelay(t *testing.T) {
	s := newStage(t, func(n *Name) { n.FailbackDelay = 5 * time.Minute })
	s.at(0, "10.1")
	s.at(time.Minute)
	s.want("10.2.0.1", "10.2.0.2")
	s.at(6*time.Minute - 1)
	s.want("10.2.0.1", "10.2.0.2")
	s.at(6 * time.Minute)
	s.want("10.1.0.1", "10.1.0.2")
}

func demotions(t *testing.T) {
	s := newStage(t, func(*Name) {})
	s.at(0, "10.1")
	s.want("10.2.0.1", "10.2.0.2")
	s.at(time.Second, "10.1", "10.2")
	s.want("10.2.0.1", "10.2.0.2") // kept
	s.at(time.Minute, "10.1", "10.2")
	s.want("10.3.0.1", "10.3.0.2")
}

func overrides(t *testing.T) {
	s := newStage(t, func(*Name) {})
	say := func(pattern string, until time.Duration) {
		s.said.Version++
		s.said.Overrides = append(slices.Clone(s.said.Overrides), steer.Override{
			Pattern: pattern, State: "down", Until: s.start.Add(until), Note: steer.Note{Owner: "ann", Reason: "new switch"},
		})
	}
	say("cb.*/us", time.Hour)
	s.at(time.Second)
	s.want("10.2.0.1", "10.2.0.2")
	if text := s.ask().Reason.String(); !strings.Contains(text, "forced down by ann: new switch (until ") {
		t.Errorf("the reason does not say who:\n%s", text)
	}
	say("*/uk/10.2.0.2:*", time.Hour)
	s.at(time.Second)
	say("*", time.Hour)
	if err := steer.Check(s.table.steering, s.view, &s.said, s.start, true); err == nil {
		t.Error("an override of all datacenters passes the gate")
	}
	s.at(2 * time.Second) // two nodes may have accepted what is too much together
	s.want("10.2.0.1")    // never fewer than one datacenter on
	s.at(time.Hour)
	s.want("10.1.0.1", "10.1.0.2")
}

// allDown: the policies are visible in the answer's extended error, in the log and in what the console shows.
func allDown(t *testing.T) {
	for policy, want := range map[string]struct {
		rcode     int
		addresses []string
	}{
		steer.AllDownLastGood: {dns.RcodeSuccess, []string{"10.2.0.1", "10.2.0.2"}},
		steer.AllDownAll:      {dns.RcodeSuccess, []string{"10.1.0.1", "10.1.0.2"}},
		steer.AllDownFallback: {dns.RcodeSuccess, []string{"192.0.2.9"}},
		steer.AllDownNoData:   {dns.RcodeSuccess, nil},
		steer.AllDownServFail: {dns.RcodeServerFailure, nil},
	} {
		s := newStage(t, func(n *Name) {
			n.AllDown = policy
			if policy == steer.AllDownFallback {
				n.Fallback = []string{"192.0.2.9"}
			}
		})
		log := &lines{}
		s.server = &Server{log: slog.New(slog.NewTextHandler(log, nil))}
		s.at(time.Second, "10.1")
		s.at(2*time.Second, "10.")
		s.want(want.addresses...)
		ans := s.ask()
		if ans.Rcode != want.rcode || len(ans.Extended) != 1 || !strings.Contains(ans.Extended[0].Text, policy) {
			t.Errorf("%s: %s, extended %+v", policy, rcodeText(ans.Rcode), ans.Extended)
		}
		s.at(3*time.Second, "10.")
		if log.count("level=WARN", `msg="all down"`, "name=cb.c", policy) != 1 {
			t.Errorf("%s: log\n%s", policy, log.buf.String())
		}
		if shown := s.view.Name(0); shown.Policy != policy {
			t.Errorf("the console shows %q, want %q", shown.Policy, policy)
		}
		s.at(4 * time.Second)
		s.want("10.1.0.1", "10.1.0.2")
		if log.count("level=INFO", "name is served again") != 1 {
			t.Errorf("%s: log\n%s", policy, log.buf.String())
		}
	}
}
