package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// eventually waits for a condition, which says what is still missing.
func (s *sites) eventually(limit time.Duration, what string, missing func() error) {
	s.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}

// answer asks a node from the test's own address in the network and names the hosts in the answer,
// sorted; another response code than success stands there as it is.
func (s *sites) answer(ctx context.Context, node, name, client string) ([]string, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(dns.DefaultMsgSize)
	opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.ParseIP(sitesClients[client]).To4(),
	})
	q.Extra = append(q.Extra, opt)
	c := dns.Client{Timeout: 2 * time.Second}
	m, _, err := c.ExchangeContext(ctx, q, net.JoinHostPort(s.host(node).Addr().String(), "53"))
	if err != nil {
		return nil, err
	}
	var out []string
	if m.Rcode != dns.RcodeSuccess {
		out = append(out, dns.RcodeToString[m.Rcode])
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, s.nameOf(a.A))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *sites) nameOf(ip net.IP) string {
	a, _ := netip.AddrFromSlice(ip.To4())
	for _, name := range sitesServers {
		if s.host(name).Addr() == a {
			return name
		}
	}
	return ip.String()
}

// missing says how the answer of a node differs from the hosts that are wanted, as in "us1 us2".
func (s *sites) missing(node, name, client, want string) error {
	got, err := s.answer(s.t.Context(), node, name, client)
	if err != nil {
		return fmt.Errorf("%s: %w", node, err)
	}
	if text := strings.Join(got, " "); text != want {
		return fmt.Errorf("%s answers %q to clients in %s, want %q", node, text, client, want)
	}
	return nil
}

// allAnswer waits until all of the nodes give this answer.
func (s *sites) allAnswer(limit time.Duration, nodes []string, name, client, want string) {
	s.t.Helper()
	s.eventually(limit, fmt.Sprintf("%s for clients in %s is %s", name, client, want), func() error {
		var errs []error
		for _, n := range nodes {
			errs = append(errs, s.missing(n, name, client, want))
		}
		return errors.Join(errs...)
	})
}

// keeps asks nodes all the time until the function that it returns is called: what they answer to
// clients in a place must never be anything else. A query that is lost is asked again, as clients do.
func (s *sites) keeps(nodes []string, name, client, want string) (stop func()) {
	t := s.t
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	asked := make([]int, len(nodes))
	for i, node := range nodes {
		group.Go(func() {
			for ctx.Err() == nil {
				got, err := s.answer(ctx, node, name, client)
				if text := strings.Join(got, " "); err == nil && text != want {
					t.Errorf("at %s, after %d right answers, %s answered %q for %s to clients in %s, want %q",
						time.Now().UTC().Format("15:04:05.000"), asked[i], node, text, name, client, want)
					return
				} else if err == nil {
					asked[i]++
				}
				time.Sleep(10 * time.Millisecond) // the pace of the questions
			}
		})
	}
	end := func() {
		cancel()
		group.Wait()
	}
	t.Cleanup(end) // where the scene ends before it stops this
	return func() {
		t.Helper()
		end()
		for i, n := range asked {
			if n < 5 {
				t.Errorf("%s answered only %d times", nodes[i], n)
			}
		}
	}
}

// command runs `switchpoint gtm ...` for a node and wants it to succeed.
func (s *sites) command(node string, args ...string) string {
	s.t.Helper()
	code, out, errOut := s.try(node, args...)
	if code != 0 {
		s.t.Fatalf("switchpoint %q at %s: exit %d\n%s%s", args, node, code, out, errOut)
	}
	return out
}

// begin runs a command at the same time as others. The function that it returns waits for its end,
// wants success, and gives what it printed.
func (s *sites) begin(node string, args ...string) func() string {
	s.t.Helper()
	type result struct {
		code        int
		out, errOut string
	}
	t, done := s.t, make(chan result, 1)
	go func() {
		var r result
		r.code, r.out, r.errOut = cli(t, append(slices.Clone(args), "--node", s.state(node))...)
		done <- r
	}()
	return func() string {
		t.Helper()
		r := <-done
		if r.code != 0 {
			t.Fatalf("switchpoint %q at %s: exit %d\n%s%s", args, node, r.code, r.out, r.errOut)
		}
		return r.out
	}
}

func (s *sites) try(node string, args ...string) (code int, out, errOut string) {
	s.t.Helper()
	return cli(s.t, append(slices.Clone(args), "--node", s.state(node))...)
}

// shows waits until what a command prints for a node has all of these lines; runs of blanks count as
// one.
func (s *sites) shows(node string, args []string, want ...string) {
	s.t.Helper()
	s.eventually(patience, fmt.Sprintf("%q at %s shows %q", args, node, want), func() error {
		code, out, errOut := s.try(node, args...)
		if code != 0 {
			return fmt.Errorf("exit %d: %s", code, errOut)
		}
		flat := squeeze(out)
		for _, w := range want {
			if !strings.Contains(flat, w) {
				return fmt.Errorf("no %q in\n%s", w, out)
			}
		}
		return nil
	})
}

// squeeze makes a table independent of the widths of its columns.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}
