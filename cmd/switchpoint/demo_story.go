package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"switchpoint/broker/client"
)

// The two places that thin clients of the story stand in.
const (
	clientUS = "127.0.1.7"
	clientUK = "127.0.2.7"
)

// detection is how long the demo's monitors need to call a target down (interval 1 s, fall 2),
// and failoverLimit what DNS may take to follow (design 7).
const (
	detection     = 2 * time.Second
	failoverLimit = detection + time.Second
)

// story plays the scenes of one morning and checks each.
type story struct {
	*stage
	w io.Writer
}

// scene is one part of the story: it returns what was seen, or why it does not hold.
type scene struct {
	letter, title string
	play          func(context.Context) (string, error)
}

// playStory plays all scenes, also after one that failed, and fails if any did.
func playStory(ctx context.Context, w io.Writer, s *stage) error {
	st := &story{stage: s, w: w}
	scenes := []scene{
		{"a", "clients ask for cb.company.com: each is sent to its own data centre, and DNS says why", st.resolvesAtHome},
		{"b", "a user of OU=US signs in there, is redirected home and gets the assigned desktop", st.traveller},
		{"c", "a user of OU=UK is served at home", st.atHome},
		{"d", "if_assigned_only forwards who has a desktop there, and nobody else", st.ifAssignedOnly},
		{"g", "wrong password, unknown user and empty password are refused alike", st.refusedAlike},
		{"e", "a broker is killed: the next login goes through another one", st.brokerKilled},
		{"f", "a data centre is killed: DNS of the other one answers its own address", st.datacenterKilled},
	}
	failed := 0
	for _, sc := range scenes {
		_, _ = fmt.Fprintf(w, "\n(%s) %s\n", sc.letter, sc.title)
		began := time.Now()
		seen, err := sc.play(ctx)
		took := time.Since(began).Seconds()
		if err != nil {
			failed++
			_, _ = fmt.Fprintf(w, "    FAILED after %.2f s: %v\n", took, err)
			continue
		}
		_, _ = fmt.Fprintf(w, "    holds (%.2f s): %s\n", took, seen)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d parts of the story do not hold; configuration and logs are kept in %s", failed, len(scenes), s.dir)
	}
	_, _ = fmt.Fprintf(w, "\nall %d parts hold; configuration and logs are kept in %s\n", len(scenes), s.dir)
	return nil
}

// showOneLogin is the first thing that `make run` shows: scene (b) with its hops.
func showOneLogin(ctx context.Context, w io.Writer, s *stage) error {
	st := &story{stage: s, w: w}
	_, _ = fmt.Fprintf(w, "\nalice of OU=US travels and signs in from the UK (%s):\n", clientUK)
	seen, err := st.traveller(ctx)
	if err == nil {
		_, _ = fmt.Fprintf(w, "    %s\n", seen)
	}
	return err
}

// dns lists the name servers as a client of the data centre has them: its own first.
func (s *stage) dns(dc string) []string {
	us, uk := s.address("127.0.1.53", portDNS), s.address("127.0.2.53", portDNS)
	if dc == "us" {
		return []string{us, uk}
	}
	return []string{uk, us}
}

func (s *stage) signInURL() string { return "https://" + s.address("cb.company.com", portLB) }

// signIn is one login from the data centre, its hops printed.
func (st *story) signIn(ctx context.Context, dc, user, password string) (client.Outcome, error) {
	source := clientUK
	if dc == "us" {
		source = clientUS
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := client.Login(ctx, client.Options{
		URL: st.signInURL(), DNS: st.dns(dc), Source: netip.MustParseAddr(source),
		CA: st.path("certs", "ca.pem"), User: user, Password: password,
	})
	for _, h := range out.Hops {
		_, _ = fmt.Fprintf(st.w, "    %8.1f ms  %-8s  %s\n", float64(h.Took.Microseconds())/1000, h.Step, h.Detail)
	}
	return out, err
}

// expect signs user in from the UK and compares cluster and desktop ("" is any).
func (st *story) expect(ctx context.Context, user, cluster, desktop string) (string, error) {
	out, err := st.signIn(ctx, "uk", user, demoPassword(user))
	if err != nil {
		return "", err
	}
	if out.Broker.Cluster != cluster {
		return "", fmt.Errorf("%s was served by cluster %s, not %s", user, out.Broker.Cluster, cluster)
	}
	if desktop != "" && out.Desktop.Desktop != desktop {
		return "", fmt.Errorf("%s got desktop %s, not %s", user, out.Desktop.Desktop, desktop)
	}
	return fmt.Sprintf("%s has desktop %s from cluster %s, through %s", user, out.Desktop.Desktop, cluster, out.Broker.Name), nil
}

// resolvesAtHome asks one and the same node as a client of each data centre, and lets it explain
// both answers.
func (st *story) resolvesAtHome(ctx context.Context) (string, error) {
	var seen []string
	for _, c := range []struct{ dc, client, want string }{{"uk", clientUK, "127.0.2.80"}, {"us", clientUS, "127.0.1.80"}} {
		addrs, server, err := client.Resolve(ctx, st.dns("uk")[:1], netip.MustParseAddr(c.client), "cb.company.com")
		if err != nil {
			return "", err
		}
		want := netip.MustParseAddr(c.want)
		if len(addrs) != 1 || addrs[0] != want {
			return "", fmt.Errorf("cb.company.com is %v for %s, not %s", addrs, c.client, want)
		}
		if err := st.explained(ctx, c.client, c.dc); err != nil {
			return "", err
		}
		seen = append(seen, fmt.Sprintf("%s is sent to %s in %s (asked %s)", c.client, want, c.dc, server))
	}
	return strings.Join(seen, "; "), nil
}

// explained prints what `switchpoint explain` says of a client, and checks that it names the data
// centre that the client was sent to.
func (st *story) explained(ctx context.Context, client, dc string) error {
	query := url.Values{"client": {client}, "name": {"cb.company.com"}, "type": {"A"}}
	var why explanation
	if err := ask(ctx, st.path("state", "uk-gtm"), http.MethodGet, "explain/dns?"+query.Encode(), nil, &why); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(st.w, "    explain --client %s --name cb.company.com\n", client)
	for _, line := range why.Lines {
		_, _ = fmt.Fprintf(st.w, "      %s\n", line)
	}
	if !slices.ContainsFunc(why.Lines, func(l string) bool { return strings.Join(strings.Fields(l), " ") == "datacenter: "+dc }) {
		return fmt.Errorf("the explanation for %s does not name the data centre %s", client, dc)
	}
	return nil
}

func (st *story) traveller(ctx context.Context) (string, error) {
	return st.expect(ctx, "alice", "us", "us-desk-1")
}

func (st *story) atHome(ctx context.Context) (string, error) {
	return st.expect(ctx, "bob", "uk", "uk-desk-1")
}

func (st *story) ifAssignedOnly(ctx context.Context) (string, error) {
	stays, err := st.expect(ctx, "carol", "uk", "")
	if err != nil {
		return "", err
	}
	goes, err := st.expect(ctx, "erin", "us", "us-desk-2")
	if err != nil {
		return "", err
	}
	return stays + "; " + goes, nil
}

// refusedAlike compares what the three kinds of failure tell: code and text must not differ
// (SE2); the reference does.
func (st *story) refusedAlike(ctx context.Context) (string, error) {
	tries := []struct{ user, password string }{
		{"bob", "wrong"}, {"nobody-of-that-name", "wrong"}, {"bob", ""},
	}
	var seen []string
	for _, try := range tries {
		_, err := st.signIn(ctx, "uk", try.user, try.password)
		var refused *client.RefusedError
		if !errors.As(err, &refused) {
			return "", fmt.Errorf("%s with password %q was not refused: %v", try.user, try.password, err) //nolint:errorlint // err may be nil
		}
		seen = append(seen, refused.Reason.Code+": "+refused.Reason.Text)
	}
	if len(slices.Compact(seen)) != 1 {
		return "", fmt.Errorf("the refusals differ: %q", seen)
	}
	return "each time " + seen[0], nil
}

// brokerKilled kills the broker that has just served bob and lets bob sign in again.
func (st *story) brokerKilled(ctx context.Context) (string, error) {
	before, err := st.signIn(ctx, "uk", "bob", demoPassword("bob"))
	if err != nil {
		return "", fmt.Errorf("before the kill: %w", err)
	}
	victim, err := st.process(before.Broker.Name)
	if err != nil {
		return "", err
	}
	victim.kill()
	_, _ = fmt.Fprintf(st.w, "    killed %s\n", victim.name)
	after, err := st.signIn(ctx, "uk", "bob", demoPassword("bob"))
	if err != nil {
		return "", fmt.Errorf("after the kill: %w", err)
	}
	if after.Broker.Name == before.Broker.Name {
		return "", fmt.Errorf("the login says that it went through %s, which is dead", after.Broker.Name)
	}
	return fmt.Sprintf("killed %s; the next login went through %s to desktop %s", victim.name, after.Broker.Name, after.Desktop.Desktop), nil
}

// datacenterKilled kills all of the US and asks the UK's DNS as a US client until it answers
// its own address.
func (st *story) datacenterKilled(ctx context.Context) (string, error) {
	for _, p := range st.processes {
		if strings.HasPrefix(p.name, "us-") {
			p.kill()
		}
	}
	_, _ = fmt.Fprintf(st.w, "    killed every process of the US\n")
	began := time.Now()
	want := netip.MustParseAddr("127.0.2.80")
	asked := 0
	for {
		addrs, _, err := client.Resolve(ctx, st.dns("uk")[:1], netip.MustParseAddr(clientUS), "cb.company.com")
		if err != nil {
			return "", err
		}
		asked++
		took := time.Since(began)
		if len(addrs) == 1 && addrs[0] == want {
			if took > failoverLimit {
				return "", fmt.Errorf("DNS answered %s only after %.2f s, not within %s", want, took.Seconds(), failoverLimit)
			}
			return st.afterFailover(ctx, took)
		}
		if took > 3*failoverLimit {
			return "", fmt.Errorf("after %.1f s DNS still answers %v (asked %d times)", took.Seconds(), addrs, asked)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// afterFailover lets a user who stands in the US sign in through the UK; the first name server
// of that client is dead.
func (st *story) afterFailover(ctx context.Context, took time.Duration) (string, error) {
	out, err := st.signIn(ctx, "us", "dave", demoPassword("dave"))
	if err != nil {
		return "", fmt.Errorf("DNS moved after %.2f s, but the login failed: %w", took.Seconds(), err)
	}
	return fmt.Sprintf("a US client is answered 127.0.2.80 after %.2f s (limit %s), and dave signs in from the US through %s",
		took.Seconds(), failoverLimit, out.Broker.Name), nil
}
