package broker_test

import (
	"context"
	"database/sql"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/covers"
	"switchpoint/redirect"
)

// TestWhoseHome plays the story of RD5 as one broker sees it.
func TestWhoseHome(t *testing.T) {
	covers.Req(t, "RD3", "RD4")
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	var asked atomic.Int32
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.AskAssigned = func(_ context.Context, d redirect.Destination, q broker.AssignedQuestion) (bool, error) {
			asked.Add(1)
			return d.Name == "us" && q == broker.AssignedQuestion{Directory: "corp", User: "erin"}, nil
		}
	})
	home := corp(t, address)
	home.Redirect = ukRules()
	b.fill(t, ukSetup(home))

	for _, user := range []string{"alice", "erin"} {
		res := b.Login(t.Context(), login(user, user+"-demo"))
		if res.Redirect != "https://cb.us.company.com" || res.Token != "" || res.Refusal != nil {
			t.Errorf("%s was not sent home: %+v", user, res)
		}
		row, err := b.ExplainRef(t.Context(), res.Ref)
		if err != nil || row.Kind != broker.LogRedirect || row.User != user || row.ClientAddr != "192.0.2.7" || row.SiteID != 1 || row.Duration <= 0 {
			t.Errorf("log row of %s: %+v, %v", user, row, err)
		}
	}
	bob := b.mustLogin(t, "bob")
	if bob.Offers[0].Name != "uk-bob" || bob.Offers[0].Kind != broker.KindAssigned || bob.Offers[1].Pool != "floor" {
		t.Errorf("offers of bob: %+v", bob.Offers)
	}
	carol := b.mustLogin(t, "carol") // no desktop in the US: she stays
	if len(carol.Offers) != 1 || carol.Offers[0].Pool != "floor" {
		t.Errorf("offers of carol: %+v", carol.Offers)
	}
	before := asked.Load()
	b.mustLogin(t, "carol")
	if asked.Load() != before {
		t.Error("an answer younger than 30 s was asked for again")
	}

	// RD3: nobody's rule applies, and the default is to reject.
	home.Redirect.Default = "reject"
	b.fill(t, ukSetup(home))
	if res := b.Login(t.Context(), login("bob", "bob-demo")); code(res.Refusal) != broker.CodeRejected {
		t.Errorf("the default reject: %+v", res)
	}
}

// TestSilentPeer: no answer on an assignment within 1 s means that the rule does not apply.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.AskAssigned = func(ctx context.Context, _ redirect.Destination, _ broker.AssignedQuestion) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		}
	})
	home := corp(t, address)
	home.Redirect = ukRules()
	b.fill(t, ukSetup(home))
	start := time.Now()
	res := b.mustLogin(t, "erin")
	if took := time.Since(start); took < time.Second || took > 3*time.Second {
		t.Errorf("the login took %s", took)
	}
	row, err := b.ExplainRef(t.Context(), res.Ref)
	if err != nil || !strings.Contains(strings.Join(row.Reason, "\n"), "no answer on whether a desktop is assigned") {
		t.Errorf("the reason does not say so: %+v, %v", row, err)
	}
}

// TestOwnCluster: a destination that names this cluster means log in here, and if_assigned_only
// asks its own store.
func TestOwnCluster(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	home := corp(t, address)
	home.Redirect = &redirect.Config{Attribute: "distinguishedName", Match: "contains", Default: "reject",
		Rules: "OU=UK > here if_assigned_only"}
	s := ukSetup(home)
	s.Destinations = []redirect.Destination{{Name: "here", URL: "https://cb.uk.company.com", Cluster: "uk"}}
	b.fill(t, s)
	b.mustLogin(t, "bob")
	if res := b.Login(t.Context(), login("dave", "dave-demo")); code(res.Refusal) != broker.CodeRejected {
		t.Errorf("dave has no desktop here: %+v", res)
	}
}

// TestRefusedAlike: whatever is wrong with a sign-in, the answer is the same, and not sooner
// than 300 ms after arrival.
func TestRefusedAlike(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	hash, err := broker.HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	s := ukSetup(corp(t, address))
	s.Users = []broker.LocalUser{{Name: "lucy", Password: hash}}
	b.fill(t, s)
	var wg sync.WaitGroup
	for name, req := range map[string]broker.LoginRequest{
		"wrong password":       login("bob", "wrong"),
		"unknown user":         login("nobody", "wrong"),
		"empty password":       login("bob", ""),
		"empty user":           login(" ", "x"),
		"wrong local password": login("lucy", "wrong"),
		"password with NUL":    login("bob", "bob-demo\x00"),
		"huge password":        login("bob", strings.Repeat("x", 1<<20)),
		"huge name":            login(strings.Repeat("x", 1<<20), "x"),
		"not UTF-8":            login("bob\xff", "bob-demo"),
		"filter injection":     login("*)(uid=bob", "bob-demo"),
		"unknown directory":    {User: "bob", Password: "bob-demo", Directory: "elsewhere"},
		"directory of others":  {User: "bob", Password: "bob-demo", Directory: broker.LocalDirectory},
	} {
		wg.Go(func() {
			start := time.Now()
			res := b.Login(t.Context(), req)
			took := time.Since(start)
			if code(res.Refusal) != broker.CodeSignInFailed || res.Refusal.Text != "The user name or the password is not right." || res.Refusal.RetryAfter != 0 || res.Token != "" {
				t.Errorf("%s: %+v", name, res.Refusal)
				return
			}
			if took < 300*time.Millisecond {
				t.Errorf("%s: answered after %s", name, took)
			}
			if row, err := b.ExplainRef(t.Context(), res.Refusal.Ref); err != nil || row.Kind != broker.LogRefused || row.Code != broker.CodeSignInFailed || len(row.Reason) == 0 {
				t.Errorf("%s: log row %+v, %v", name, row, err)
			}
		})
	}
	wg.Wait()
	if a := b.Alive(); a.Active != 0 {
		t.Errorf("%d places are still held", a.Active)
	}
}

// TestDirectoriesInOrder: each directory has its own rules, local users come last.
func TestDirectoriesInOrder(t *testing.T) {
	covers.Req(t, "LD3")
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	hash, err := broker.HashPassword("lucy-demo")
	if err != nil {
		t.Fatal(err)
	}
	first := corp(t, address)
	first.Name, first.UserFilter = "first", "(&(uid={user})(uid=bob))"
	first.Redirect = &redirect.Config{Attribute: "uid", Match: "equals", Rules: "bob > us"}
	second := corp(t, address)
	b := newCluster(t).start(1, nil)
	s := ukSetup(first, second)
	s.Users = []broker.LocalUser{{Name: "Lucy", Password: hash}}
	b.fill(t, s)
	if res := b.Login(t.Context(), login("bob", "bob-demo")); res.Redirect == "" {
		t.Errorf("the rules of the first directory: %+v", res)
	}
	for _, user := range []string{"dave", "DAVE", "lucy", "LUCY "} {
		res := b.Login(t.Context(), login(user, strings.ToLower(strings.TrimSpace(user))+"-demo"))
		if res.Token == "" {
			t.Errorf("%q: %+v", user, res)
		}
	}
	named := login("bob", "bob-demo")
	named.Directory = "corp"
	if res := b.Login(t.Context(), named); res.Token == "" {
		t.Errorf("the named directory has no rules: %+v", res)
	}
}

// TestDirectoryDown starts before its directory: 503 until it comes, then by itself 200.
func TestDirectoryDown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b := newCluster(t).start(1, nil)
	if _, err := b.Apply(t.Context(), ukSetup(corp(t, address)), false, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "is_alive says 503", func() bool { return b.Alive().Status == 503 })
	res := b.Login(t.Context(), login("bob", "bob-demo"))
	if code(res.Refusal) != broker.CodeDirectoryUnavailable || res.Refusal.RetryAfter == 0 {
		t.Errorf("with the directory down: %+v", res)
	}
	_, stop := serveDirectory(t, address)
	eventually(t, "it recovers", func() bool { return b.Alive().Status == 200 })
	b.mustLogin(t, "bob")
	stop()
	eventually(t, "it notices the loss", func() bool { return b.Alive().Status == 503 })
}

// TestBusy fills the place and the queue with logins that a silent directory holds up.
func TestBusy(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	b := newCluster(t).start(1, func(o *broker.Options) {
		o.Config.Capacity, o.Config.LoginDeadline, o.Config.AnswerWithin = 1, 2*time.Second, 10*time.Second // one in the queue
	})
	slow := corp(t, silent.Addr().String())
	slow.Timeout = 30 * time.Second
	if _, err := b.Apply(t.Context(), ukSetup(slow), false, "test"); err != nil {
		t.Fatal(err)
	}
	var ended [2]broker.LoginResult
	var wg sync.WaitGroup
	req := login("bob", "bob-demo")
	req.Arrived = time.Now() // of both: else the second has the place for a moment when the first is over
	for i := range ended {
		wg.Go(func() { ended[i] = b.Login(t.Context(), req) })
		eventually(t, "the login is in", func() bool { return b.Alive().Active == i+1 })
	}
	if a := b.Alive(); a.Status != 503 || a.Capacity != 1 || a.Mode != "normal" || b.NotServing() != "too many logins wait" {
		t.Errorf("is_alive of a full broker: %+v, %q", a, b.NotServing())
	}
	start := time.Now()
	res := b.Login(t.Context(), login("dave", "dave-demo"))
	if code(res.Refusal) != broker.CodeBusy || res.Refusal.RetryAfter < time.Second || res.Refusal.Position != 1 || !strings.Contains(res.Refusal.Text, "1 are waiting") {
		t.Errorf("a full broker: %+v", res.Refusal)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it was refused after %s", took)
	}
	wg.Wait()
	for _, r := range ended {
		if code(r.Refusal) != broker.CodeTimedOut {
			t.Errorf("at the deadline: %+v", r.Refusal)
		}
		row, err := b.ExplainRef(t.Context(), r.Refusal.Ref)
		if err != nil || row.Code != broker.CodeTimedOut || row.Duration > 2*time.Second+storeSlack || !strings.Contains(strings.Join(row.Reason, "\n"), "2s (login_deadline)") {
			t.Errorf("its log row: %+v, %v", row, err)
		}
	}
	if a := b.Alive(); a.Active != 0 {
		t.Errorf("the place is not free: %+v", a)
	}
}

// storeSlack is what a busy machine may take for a row.
const storeSlack = 3 * time.Second

// TestPolicies: the first that matches counts, and no policy and no own desktop is a refusal.
func TestPolicies(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	b := newCluster(t).start(1, nil)
	s := ukSetup(corp(t, address))
	s.DesktopPools = append(s.DesktopPools, broker.DesktopPool{Name: "lab", Kind: "pooled", Check: "none"})
	s.Desktops = append(s.Desktops, broker.Desktop{Name: "lab-1", Pool: "lab", Host: "10.2.2.1"}, broker.Desktop{Name: "lab-2", Pool: "lab", Host: "10.2.2.2"})
	s.Policies = []broker.Policy{
		{Name: "engineers", Attribute: "memberOf", Match: "begins-with", Value: "cn=Engineering,", Pools: []string{"lab", "floor"}, MaxOffers: 2},
	}
	b.fill(t, s)
	var pools []string
	for _, o := range b.mustLogin(t, "dave").Offers {
		pools = append(pools, o.Pool)
	}
	if want := []string{"lab", "lab", "floor", "floor"}; !slices.Equal(pools, want) {
		t.Errorf("dave is offered %v, want %v", pools, want)
	}
	if offers := b.mustLogin(t, "bob").Offers; len(offers) != 1 || offers[0].Name != "uk-bob" {
		t.Errorf("bob is offered %+v", offers)
	}
	if res := b.Login(t.Context(), login("carol", "carol-demo")); code(res.Refusal) != broker.CodePolicy || res.Token != "" {
		t.Errorf("carol matches no policy: %+v", res)
	}
}

// TestIdempotentLogin sends one login several times through two brokers (LG4).
func TestIdempotentLogin(t *testing.T) {
	t.Parallel()
	address, _ := serveDirectory(t, "127.0.0.1:0")
	c := newCluster(t)
	a, b := c.start(1, nil), c.start(2, nil)
	a.fill(t, ukSetup(corp(t, address)))
	eventually(t, "the second broker has the setup", func() bool {
		return b.Alive().Status == 200 && len(b.RedirectOrigins()) == 1
	})
	req := login("bob", "bob-demo")
	req.Key = "7a3f"
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() { tokens[i] = []*running{a, b}[i%2].Login(t.Context(), req).Token })
	}
	wg.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("one key gave several tokens: %q", tokens)
		}
	}
	if s, _, err := b.Offers(t.Context(), tokens[0], "192.0.2.7"); err != nil || s.User != "bob" {
		t.Errorf("the token does not work: %+v, %v", s, err)
	}
	keptOutOfDatabase(t, c.path, req.Key)
	other := login("dave", "dave-demo")
	other.Key = req.Key
	wrong := req
	wrong.Password = "wrong"
	for _, r := range []broker.LoginRequest{other, wrong} {
		if res := b.Login(t.Context(), r); code(res.Refusal) != broker.CodeSignInFailed {
			t.Errorf("the key of somebody else: %+v", res)
		}
	}
	fresh := login("bob", "bob-demo")
	if res := a.Login(t.Context(), fresh); res.Token == tokens[0] || res.Token == "" {
		t.Errorf("a login without key: %+v", res)
	}
}

// keptOutOfDatabase: who reads the database must find no key to compute tokens with.
func keptOutOfDatabase(t *testing.T, path, key string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all, same int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(*) FILTER (WHERE instr(key, ?)) FROM idempotency`, key).Scan(&all, &same); err != nil || all == 0 || same != 0 {
		t.Errorf("%d keys stored, %d in the clear, %v", all, same, err)
	}
}

func TestParsePrefix(t *testing.T) {
	for in, want := range map[string]string{"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "::1": "::1/128"} {
		if p, err := broker.ParsePrefix(in); err != nil || p != netip.MustParsePrefix(want) {
			t.Errorf("%s is %v, %v", in, p, err)
		}
	}
	for _, in := range []string{"", "x", "10.1.2.3/33", "10.1.2"} {
		if _, err := broker.ParsePrefix(in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}
