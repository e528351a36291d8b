package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"switchpoint/broker"
	"switchpoint/internal/covers"
	"switchpoint/redirect"
)

// twoClusters are the UK, which sends its guests from the US home, and the US, over one directory.
type twoClusters struct {
	uk, us  *running
	usStore *cluster
	silent  atomic.Bool // the UK does not tell its key
	asked   atomic.Int32
	address string // of the directory
}

func startTwoClusters(t *testing.T, plain bool) *twoClusters {
	t.Helper()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	w := &twoClusters{address: address}
	ukCluster, usCluster := newCluster(t), newCluster(t)
	usCluster.name = "us"
	w.usStore = usCluster
	w.uk = ukCluster.start(1, func(o *broker.Options) {
		o.Trusts = func(cluster string) bool { return cluster == "us" }
		o.AskTicketKey = func(context.Context, string) (broker.TicketKey, error) {
			return w.us.AnswerTicketKey(), nil
		}
		o.AskAssigned = func(context.Context, redirect.Destination, broker.AssignedQuestion) (bool, error) { return true, nil }
	})
	w.us = usCluster.start(1, w.usOptions)
	home := corp(t, address)
	home.Redirect = ukRules()
	setup := ukSetup(home)
	setup.Destinations[0].Plain = plain
	w.uk.fill(t, setup)
	w.us.fill(t, broker.Setup{
		Directories:  []broker.Directory{corp(t, address)},
		DesktopPools: []broker.DesktopPool{{Name: "us-floor", Kind: "pooled", Check: "none"}},
		Desktops:     []broker.Desktop{{Name: "us-1", Pool: "us-floor", Host: "10.1.0.1"}, {Name: "us-2", Pool: "us-floor", Host: "10.1.0.2"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{"us-floor"}}},
	})
	return w
}

func (w *twoClusters) usOptions(o *broker.Options) {
	o.Name, o.Metrics = "us-broker", nil
	o.Trusts = func(cluster string) bool { return cluster == "uk" }
	o.AskTicketKey = func(ctx context.Context, _ string) (broker.TicketKey, error) {
		if w.asked.Add(1); w.silent.Load() {
			return broker.TicketKey{}, errors.New("no answer")
		}
		return w.uk.AnswerTicketKey(), nil
	}
}

// ticket signs alice in at the UK and gives her ticket.
func (w *twoClusters) ticket(t *testing.T) string {
	t.Helper()
	res := w.uk.Login(t.Context(), login("alice", "alice-demo"))
	if res.Redirect != "https://cb.us.company.com" || res.Ticket == "" {
		t.Fatalf("alice got no ticket: %+v", res)
	}
	return res.Ticket
}

func byTicket(ticket, key string) broker.LoginRequest {
	return broker.LoginRequest{Ticket: ticket, Key: key, ClientName: "tc", ClientAddr: "192.0.2.7"}
}

// refusedTicket wants a login by ticket to be refused for that reason, which only the log tells.
func refusedTicket(t *testing.T, b *running, ticket, why string) {
	t.Helper()
	began := time.Now()
	res := b.Login(t.Context(), byTicket(ticket, ""))
	if code(res.Refusal) != broker.CodeTicket || res.Token != "" {
		t.Fatalf("the ticket was not refused: %+v", res)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("a refusal after %s", took)
	}
	row, err := b.ExplainRef(t.Context(), res.Refusal.Ref)
	if reason := strings.Join(row.Reason, "\n"); err != nil || row.Code != broker.CodeTicket || !strings.Contains(reason, why) || ticket != "" && strings.Contains(reason, ticket) {
		t.Errorf("log row %+v, %v, want %q", row, err, why)
	}
}

// TestTicketLogin: who was sent home is not asked for his password again, once.
func TestTicketLogin(t *testing.T) {
	covers.Req(t, "RD8")
	t.Parallel()
	w := startTwoClusters(t, false)
	ticket := w.ticket(t)
	res := w.us.Login(t.Context(), byTicket(ticket, "key-1"))
	if res.Token == "" || len(res.Offers) != 1 || res.Offers[0].Pool != "us-floor" {
		t.Fatalf("the ticket was not taken: %+v", res)
	}
	row, err := w.us.ExplainRef(t.Context(), res.Ref)
	if err != nil || row.Kind != broker.LogLogin || row.User != "alice" || row.Directory != "corp" || !strings.Contains(strings.Join(row.Reason, "\n"), "of cluster uk for alice") {
		t.Errorf("log row %+v, %v", row, err)
	}
	if session, _, err := w.us.Offers(t.Context(), res.Token, ""); err != nil || session.User != "alice" {
		t.Errorf("session %+v, %v", session, err)
	}
	again := w.us.Login(t.Context(), byTicket(ticket, "key-1")) // its answer was lost on the way
	if again.Token != res.Token || again.Refusal != nil {
		t.Errorf("the same key and ticket gave another outcome: %+v, want %+v", again, res)
	}
	refusedTicket(t, w.us, ticket, broker.ErrTicketUsed.Error())
	if res := w.us.Login(t.Context(), byTicket(ticket, "key-2")); code(res.Refusal) != broker.CodeTicket {
		t.Errorf("a used ticket with another key: %+v", res)
	}
	if n := w.asked.Load(); n != 1 {
		t.Errorf("the UK was asked for its key %d times", n)
	}

	refusedTicket(t, w.uk, w.ticket(t), "a loop: the ticket is of this cluster itself")
	for _, garbage := range []string{"nonsense", "st1..", ticket[:len(ticket)-4] + "AAAA"} {
		refusedTicket(t, w.us, garbage, "ticket")
	}
}

// TestTicketAtTwoBrokers: of many that present one ticket at all brokers of a cluster at once, one gets in.
func TestTicketAtTwoBrokers(t *testing.T) {
	t.Parallel()
	w := startTwoClusters(t, false)
	second := w.usStore.start(2, w.usOptions)
	eventually(t, "the second broker serves", func() bool { return second.Alive().Status == 200 })
	ticket := w.ticket(t)
	var in, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch res := []*running{w.us, second}[i%2].Login(t.Context(), byTicket(ticket, "")); {
			case res.Token != "":
				in.Add(1)
			case code(res.Refusal) == broker.CodeTicket:
				refused.Add(1)
			default:
				t.Errorf("%+v", res)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d got in, %d were refused", in.Load(), refused.Load())
	}
}

// TestNoTicket: who needs none, or must not have one, is sent home without.
func TestNoTicket(t *testing.T) {
	covers.Req(t, "RD9")
	t.Parallel()
	w := startTwoClusters(t, true)
	res := w.uk.Login(t.Context(), login("alice", "alice-demo"))
	if res.Redirect == "" || res.Ticket != "" {
		t.Fatalf("a plain destination: %+v", res)
	}
	row, err := w.uk.ExplainRef(t.Context(), res.Ref)
	if err != nil || !strings.Contains(strings.Join(row.Reason, "\n"), "no ticket: destination us is plain") {
		t.Errorf("log row %+v, %v", row, err)
	}
}

// TestTicketWithoutKey: a cluster that nobody answers for, or that is not trusted, vouches for nobody.
func TestTicketWithoutKey(t *testing.T) {
	t.Parallel()
	w := startTwoClusters(t, false)
	w.silent.Store(true)
	refusedTicket(t, w.us, w.ticket(t), "cluster uk does not tell the key of its tickets: no answer")
	stranger := newCluster(t)
	stranger.name = "us"
	b := stranger.start(1, nil)
	b.fill(t, broker.Setup{Directories: []broker.Directory{corp(t, w.address)}})
	refusedTicket(t, b, w.ticket(t), "no [[peer.trust]] names the cluster uk")
}

// TestTicketLoop: two clusters whose rules point at each other send a user to and fro once at most.
func TestTicketLoop(t *testing.T) {
	covers.Req(t, "RD8")
	t.Parallel()
	w := startTwoClusters(t, false)
	back := corp(t, w.address)
	back.Redirect = &redirect.Config{Attribute: "distinguishedName", Match: "contains", Rules: "OU=US > uk"}
	setup := broker.Setup{
		Directories:  []broker.Directory{back},
		Destinations: []redirect.Destination{{Name: "uk", Cluster: "uk", URL: "https://cb.uk.company.com"}},
	}
	w.us.fill(t, setup)
	res := w.us.Login(t.Context(), byTicket(w.ticket(t), ""))
	if code(res.Refusal) != broker.CodeHomeUnavailable {
		t.Fatalf("a loop: %+v", res)
	}
	row, err := w.us.ExplainRef(t.Context(), res.Refusal.Ref)
	if err != nil || !strings.Contains(strings.Join(row.Reason, "\n"), "the login has already been to cluster uk") {
		t.Errorf("log row %+v, %v", row, err)
	}
}

// TestTicketNeedsTheDatabase: a ticket whose use cannot be written down is not taken; the password is asked for.
func TestTicketNeedsTheDatabase(t *testing.T) {
	t.Parallel()
	w := startTwoClusters(t, false)
	lost := w.usStore.start(2, func(o *broker.Options) {
		w.usOptions(o)
		o.Store = lostStore{o.Store}
	})
	eventually(t, "the second broker serves", func() bool { return lost.Alive().Status == 200 })
	ticket := w.ticket(t)
	if res := lost.Login(t.Context(), byTicket(ticket, "")); code(res.Refusal) != broker.CodeTicket {
		t.Errorf("a ticket without a database: %+v", res)
	}
	if res := w.us.Login(t.Context(), byTicket(ticket, "")); res.Token == "" {
		t.Errorf("the ticket was spent without a database: %+v", res)
	}
}

// lostStore is a database that takes no login.
type lostStore struct{ broker.Store }

func (lostStore) Login(context.Context, broker.LoginRecord) (broker.LoginOutcome, error) {
	return broker.LoginOutcome{}, broker.ErrUnavailable
}

// TestRuleHits: each rule counts the logins that it decided, by outcome; a change of the setup that leaves
// the rule alone leaves its count.
func TestRuleHits(t *testing.T) {
	covers.Req(t, "RD8")
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	metrics := prometheus.NewRegistry()
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Metrics = metrics
		o.AskAssigned = func(context.Context, redirect.Destination, broker.AssignedQuestion) (bool, error) { return true, nil }
	})
	home := corp(t, address)
	home.Redirect = ukRules()
	b.fill(t, ukSetup(home))
	for _, user := range []string{"alice", "alice", "erin", "bob"} {
		b.Login(t.Context(), login(user, user+"-demo"))
	}
	if x, err := b.TryRedirect(t.Context(), broker.RedirectTrial{User: "alice"}); err != nil || x.Action != "forward" {
		t.Errorf("%+v, %v", x, err)
	}
	setup := ukSetup(home)
	setup.DesktopPools = append(setup.DesktopPools, broker.DesktopPool{Name: "more", Kind: "pooled"})
	b.fill(t, setup)
	want := `
# HELP switchpoint_redirect_rule_hits_total Logins that a redirect rule decided, by what came of it.
# TYPE switchpoint_redirect_rule_hits_total counter
switchpoint_redirect_rule_hits_total{destination="us",directory="corp",line="3",outcome="forward"} 2
switchpoint_redirect_rule_hits_total{destination="us",directory="corp",line="4",outcome="forward"} 1
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "switchpoint_redirect_rule_hits_total"); err != nil {
		t.Error(err)
	}
	s := b.RedirectStatus()
	if len(s.Rules) != 2 || s.Rules[0].Hits != 2 || s.Rules[1].Outcomes["forward"] != 1 || len(s.Destinations) != 1 || !s.Destinations[0].Available {
		t.Errorf("%+v", s)
	}
}

// TestTryRedirect: a dry run says what each rule comes to and why, also for a destination that is
// supposed to be down, and signs nobody in.
func TestTryRedirect(t *testing.T) {
	covers.Req(t, "RD8")
	t.Parallel()
	w := startTwoClusters(t, false)
	try := func(q broker.RedirectTrial) string {
		t.Helper()
		x, err := w.uk.TryRedirect(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(x.Lines(), "\n")
	}
	for _, c := range []struct {
		q    broker.RedirectTrial
		want []string
	}{
		{broker.RedirectTrial{User: "alice"}, []string{"entry:       ", "line 3", "taken, distinguishedName", "outcome:     forward", "ticket:      yes"}},
		{broker.RedirectTrial{User: "erin"}, []string{"assigned desktop at us: yes (asked cluster us", "outcome:     forward"}},
		{broker.RedirectTrial{User: "alice", AssumeDown: []string{"us"}}, []string{"applies, but the destination is not available (supposed to be down)", "outcome:     home-unavailable"}},
		{broker.RedirectTrial{User: "erin", AssumeDown: []string{"us"}}, []string{"so it was not asked for an assigned desktop", "outcome:     log-in-here"}},
		{broker.RedirectTrial{User: "bob"}, []string{"does not apply", "outcome:     log-in-here"}},
		{broker.RedirectTrial{User: "nobody"}, []string{"outcome:     refused", "the user was not found"}},
	} {
		got := try(c.q)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v does not say %q:\n%s", c.q, want, got)
			}
		}
	}
	if _, err := w.uk.TryRedirect(t.Context(), broker.RedirectTrial{User: "alice", AssumeDown: []string{"xx"}}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("an unknown destination: %v", err)
	}
	if x, err := w.uk.Explain(t.Context(), "alice", "", ""); err != nil || !strings.Contains(strings.Join(x.Reason, "\n"), "ticket: yes") {
		t.Errorf("%+v, %v", x, err)
	}
}
