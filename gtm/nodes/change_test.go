package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
	"switchpoint/peer"
)

// wired are nodes that call each other's handlers, without anything running.
func wired(t *testing.T, names ...string) map[string]*site {
	t.Helper()
	sites := make(map[string]*site)
	for _, name := range names {
		s := &site{name: name, logged: &logged{}}
		n, err := New(Options{
			Config: Config{Members: names}, Name: name, Log: slog.New(slog.NewTextHandler(s.logged, nil)),
			Call: func(ctx context.Context, to, method string, body []byte) ([]byte, error) {
				return sites[to].Handlers()[method](ctx, peer.Trust{Name: name}, body)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Nodes = n
		sites[name] = s
	}
	return sites
}

func TestChangeReplacedAtTheSameMoment(t *testing.T) {
	sites := wired(t, "uk", "us")
	uk, us := sites["uk"], sites["us"]
	// us is about to be told of its version 1 by uk when it makes its own.
	theirs, err := encodeDocument(version(t, &steer.Operator{}, "zz", override("*/uk", "down")))
	if err != nil {
		t.Fatal(err)
	}
	uk.document.Store(theirs)
	now, acks, err := us.Change(t.Context(), func(o *steer.Operator) error { setMode("dr")(o); return nil })
	if !errors.Is(err, ErrReplaced) || !strings.Contains(err.Error(), "version 1 of zz") || now.Stamp() != theirs.stamp() {
		t.Fatalf("%+v, %v", now, err)
	}
	if len(acks) != 1 || acks[0].Has || acks[0].Why != "it has version 1 of zz" {
		t.Errorf("%+v", acks)
	}
	for _, s := range []*site{uk, us} {
		if log := s.logged.String(); !strings.Contains(log, "replaced_by=1 replaced_by_node=zz") || !strings.Contains(log, "mode dr by alice") {
			t.Errorf("%s logged\n%s", s.name, log)
		}
	}
	// Said again it is there, beside what replaced it.
	now, acks, err = us.Change(t.Context(), func(o *steer.Operator) error { setMode("dr")(o); return nil })
	if err != nil || !acks[0].Has || now.Version != 2 || now.Mode != "dr" || len(now.Overrides) != 1 {
		t.Errorf("%+v, %+v, %v", now, acks, err)
	}
}

func TestChangeSaysWhoDidNotAnswer(t *testing.T) {
	hang := func(ctx context.Context, to, _ string, _ []byte) ([]byte, error) {
		if to == "refuses" {
			return nil, &peer.RemoteError{Code: "internal", Text: "disk full"}
		}
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %s", peer.ErrUnreachable, to)
	}
	n, err := New(Options{Config: Config{Members: []string{"hangs", "refuses"}}, Name: "here", Call: hang})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o, acks, err := n.Change(ctx, func(o *steer.Operator) error { setMode("dr")(o); return nil })
	if err != nil || o.Version != 1 || n.Operator() != o {
		t.Fatalf("%+v, %v", o, err)
	}
	want := []string{"no answer in time; it will be told as soon as it can be reached", "peer answered internal: disk full"}
	for i, a := range acks {
		if a.Has || a.Why != want[i] {
			t.Errorf("%+v", a)
		}
	}
	refused := errors.New("the owner is unknown")
	if _, _, err := n.Change(ctx, func(*steer.Operator) error { return refused }); !errors.Is(err, refused) || n.Operator() != o {
		t.Errorf("a change that its own function refuses: %v", err)
	}
	bad := func(o *steer.Operator) error { o.Mode = "backup"; return nil }
	if _, _, err := n.Change(ctx, bad); err == nil || !strings.Contains(err.Error(), `mode: "backup" is no mode of operation`) || n.Operator() != o {
		t.Errorf("a change that no node would take: %v", err)
	}
	for i := range steer.MaxOverrides { // each of them is possible, all together are too long
		if _, _, err = n.Change(ctx, func(o *steer.Operator) error {
			for j := range 100 {
				*o = *o.With(steer.Override{Pattern: fmt.Sprintf("%d-%d/*", i, j), State: "down", Note: alice(strings.Repeat("x", 500))})
			}
			return nil
		}); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "at most 262144 are possible") {
		t.Errorf("a document that is too long: %v", err)
	}
}

func TestWhoMayCall(t *testing.T) {
	n := among(t, Config{Members: []string{"a"}})
	body, err := json.Marshal(report{Node: "a", Start: 1, Seq: 1, Parts: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, method, body, want string
	}{
		{"a", methodReport, string(body), ""},
		{"a", methodOperator, "{}", ""},
		{"b", methodReport, string(body), `not-a-member: here does not have "b" among its [gtm.nodes] members`},
		{"b", methodOperator, "{}", `not-a-member: here does not have "b" among its [gtm.nodes] members`},
		{"a", methodReport, strings.Replace(string(body), `"a"`, `"here"`, 1), `wrong-name: a node that calls itself "here" is trusted by here as "a"`},
		{"a", methodReport, "{", "bad-request: not a report"},
		{"a", methodOperator, "[]", "bad-request: not an operators' document"},
		{"a", methodOperator, `{"document":{"version":1,"node":"a","mode":"x"}}`, `bad-request: the operators' document has a fault: mode: "x" is no mode`},
		{"a", methodOperator, `{"document":` + strings.Repeat(" ", maxDocument) + `{"version":1,"node":"a"}}`, ""}, // blanks do not count
	} {
		_, err := n.Handlers()[tc.method](t.Context(), peer.Trust{Name: tc.from}, []byte(tc.body))
		if _, remote := errors.AsType[*peer.RemoteError](err); tc.want == "" && err != nil || tc.want != "" && (!remote || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s calls %s with %.60s: %v", tc.from, tc.method, tc.body, err)
		}
	}
}

// A node with a fault hands its document over with every report.
func TestFaultyDocumentIsLoggedOnce(t *testing.T) {
	sites := wired(t, "uk", "us")
	uk := sites["uk"]
	hand := func(document string) error {
		_, err := uk.takeOperator(t.Context(), peer.Trust{Name: "us"}, []byte(`{"document":`+document+`}`))
		return err
	}
	bad := `{"version":1,"node":"us","overrides":[` + strings.TrimSuffix(strings.Repeat("{},", steer.MaxOverrides), ",") + `]}`
	for range 3 {
		if hand(bad) == nil {
			t.Fatal("it is taken")
		}
	}
	if log := uk.logged.String(); strings.Count(log, "\n") != 1 || len(log) > 1000 {
		t.Errorf("%d lines, %d bytes: %.500s", strings.Count(log, "\n"), len(log), log)
	}
	if err := hand(`{"version":1,"node":"us"}`); err != nil {
		t.Fatal(err)
	}
	if hand(bad) == nil || strings.Count(uk.logged.String(), "refused") != 2 {
		t.Errorf("a new fault is not logged: %s", uk.logged)
	}
}

// Taken over, a version like that would leave no room for what operators say later.
func TestVersionFarAheadIsRefused(t *testing.T) {
	sites := wired(t, "uk", "us")
	uk, us := sites["uk"], sites["us"]
	for _, ahead := range []uint64{maxAhead + 1, 1 << 53} {
		d, err := encodeDocument(&steer.Operator{Version: ahead, Node: "us"})
		if err != nil {
			t.Fatal(err)
		}
		us.document.Store(d)
		if _, err := uk.takeOperator(t.Context(), peer.Trust{Name: "us"}, fmt.Appendf(nil, `{"document":%s}`, d.raw)); err == nil || !strings.Contains(err.Error(), "too far ahead") {
			t.Errorf("handed over: %v", err)
		}
		if err := uk.hand(t.Context(), uk.member("us"), emptyDocument()); err == nil || !strings.Contains(err.Error(), documentFile) {
			t.Errorf("answered: %v", err)
		}
		if got := uk.Operator().Version; got != 0 {
			t.Errorf("version %d is in force", got)
		}
	}
	if o, _, err := uk.Change(t.Context(), func(o *steer.Operator) error { setMode("dr")(o); return nil }); err != nil || o.Mode != "dr" {
		t.Errorf("operators have no word any more: %v", err)
	}
}

func TestSetConfig(t *testing.T) {
	n := among(t, Config{Members: []string{"a", "b", "here"}})
	if n.need != 2 || len(n.members) != 2 {
		t.Errorf("of %d others and itself it takes %d", len(n.members), n.need)
	}
	kept := n.member("b")
	if err := n.SetConfig(Config{Members: []string{"b", "c", "d", "e"}, Need: 4}); err != nil {
		t.Fatal(err)
	}
	if n.need != 4 || len(n.members) != 4 || n.member("a") != nil || n.member("b") != kept {
		t.Errorf("need %d, %d members", n.need, len(n.members))
	}
	if err := n.SetConfig(Config{Need: 7}); err == nil || n.need != 4 {
		t.Errorf("%v", err)
	}
	lonely, err := New(Options{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	if err := lonely.SetConfig(Config{Members: []string{"here"}}); err != nil || len(lonely.members) != 0 {
		t.Errorf("a node whose only member is itself: %v", err)
	}
	if err := lonely.SetConfig(Config{Members: []string{"a"}}); err == nil {
		t.Error("members without a way to call them")
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{Members: []string{"a", "b"}, Need: 3, Anchors: []string{"192.0.2.1:443", "gw.company.com:22"}, Interval: minInterval}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Fatal(err)
	}
	for want, bad := range map[string]Config{
		"members[1]: the name is empty":                       {Members: []string{"a", ""}},
		`members[1]: "a" is listed twice; remove one of them`: {Members: []string{"a", "a"}},
		"need: 3 of 2 nodes cannot agree":                     {Members: []string{"a"}, Need: 3},
		"need: -1 of 1 nodes cannot agree":                    {Need: -1},
		`anchors[0]: "192.0.2.1" is not host:port`:            {Anchors: []string{"192.0.2.1"}},
		`anchors[0]: "192.0.2.1:0" is not host:port`:          {Anchors: []string{"192.0.2.1:0"}},
		"interval: an interval of 1ms is not possible":        {Interval: time.Millisecond},
		"interval: an interval of 1m0s is not possible":       {Interval: time.Minute},
		"there are 33 nodes":                                  {Members: strings.Fields(strings.Repeat("x ", 33))},
		"there are 17 anchors":                                {Anchors: strings.Fields(strings.Repeat("x ", 17))},
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestNewCheckIsAskedFor(t *testing.T) {
	sites := wired(t, "uk", "us")
	uk, us := sites["uk"], sites["us"]
	us.SetChecks(map[healthcheck.Key]healthcheck.Ref{key(0): 0})
	r := report{Node: "us", Start: us.start, Seq: us.mine.seq, Parts: 1, Checks: []wireStatus{tells(0, down)}}
	take := func(r report) (answer reportAnswer) {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out, err := uk.takeReport(t.Context(), peer.Trust{Name: "us"}, b)
		if err == nil {
			err = json.Unmarshal(out, &answer)
		}
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if answer := take(r); answer.Full || answer.Seen != r.Seq || uk.of("us").Checks != 0 {
		t.Fatalf("%+v: a check that uk does not watch counts", answer)
	}
	uk.SetChecks(map[healthcheck.Key]healthcheck.Ref{key(0): 5})
	if answer := take(report{Node: "us", Start: us.start, Seq: r.Seq, Base: r.Seq, Parts: 1}); !answer.Full {
		t.Fatal("what uk watches now is not asked for")
	}
	take(r)
	if got := uk.Status(nil)(5); got.State != down || got.Reason != "down by 1 of 1: us" {
		t.Errorf("%+v", got)
	}
	if got := uk.Status(nil)(0); got.State != unknown {
		t.Errorf("another check: %+v", got)
	}
}
