package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchpoint/admin"
	"switchpoint/internal/covers"
	"switchpoint/lb"
)

// takeOver is within what time the other node serves all clients (LB9).
const takeOver = 3 * time.Second

// TestLBPair runs docs/lb-pair.md: two balancers and keepalived with the files that stand there, and
// clients, each with its own address, that never stop asking the floating one. The node that has the
// address is killed, comes back, is stopped, and its network is cut. What the page's commands print is
// compared with it.
func TestLBPair(t *testing.T) {
	covers.Req(t, "LB9")
	p := startPair(t)
	for _, node := range []string{"lb-1", "lb-2"} {
		p.startLB(node)
	}
	p.startKeepalived("lb-1")
	p.awaitHolder("lb-1")
	p.startKeepalived("lb-2")
	begin := time.Now()
	p.startClients()
	members := p.members(begin)
	count := map[string]int{}
	for _, m := range members {
		count[m]++
	}
	if len(count) != len(pairBrokers) {
		t.Fatalf("the clients are at %v", count)
	}
	p.inStep()
	p.commands() // us1 is drained by them, and its clients stay
	p.move("killed", "lb-2", members, func() { p.programs["lb-1"].kill() })
	p.drained("lb-2")
	p.comesBack("lb-1", members)
	p.stopped("lb-2", "lb-1", members)
	p.drained("lb-1")
	p.comesBack("lb-2", members)
	p.move("cut off", "lb-2", members, func() { p.net.Isolate(p.host("lb-1")) })
	p.drained("lb-2")
}

// inStep waits until each node knows all clients: what one learns reaches the other some moments
// later (lb/nodes).
func (p *pair) inStep() {
	p.t.Helper()
	for _, node := range []string{"lb-1", "lb-2"} {
		p.eventually(node+" knows what the other one does", func() error {
			var st lb.Status
			if err := admin.NewClient(p.programs[node].socket).Do(p.t.Context(), http.MethodGet, "lb/status", nil, &st); err != nil {
				return err
			}
			known := 0
			for _, m := range st.Pools[0].Members {
				known += m.Bound
			}
			if known != pairClients {
				return fmt.Errorf("it knows %d of %d clients", known, pairClients)
			}
			return p.wants(node, "switchpoint lb nodes --node "+pageState, " ago ", "nothing")
		})
	}
}

// wants runs a command and tells what is missing in what it prints.
func (p *pair) wants(node, line string, words ...string) error {
	out := squeezed(p.sh(node, line))
	for _, w := range words {
		if !strings.Contains(out, w) {
			return &missing{w, out}
		}
	}
	return nil
}

type missing struct{ what, in string }

// Error tells what is missing.
func (m *missing) Error() string { return "no " + m.what + " in\n" + m.in }

// commands plays the transcripts of the page.
func (p *pair) commands() {
	p.t.Helper()
	played := 0
	for i, part := range p.page.parts {
		if part.language != "console" {
			continue
		}
		var out strings.Builder
		for _, x := range p.exchanges(part.text) {
			out.WriteString(x.prompt() + x.typed + "\n" + p.exchange(p.page.name, x))
			played++
		}
		p.page.parts[i].text = out.String()
	}
	if *update {
		p.page.write(p.t)
	}
	if played < 3 {
		p.t.Errorf("the page has %d commands", played)
	}
}

// move breaks the node that has the address: the other one serves all clients within takeOver, each
// with the member that it had.
func (p *pair) move(how, to string, members map[int]string, breakIt func()) {
	p.t.Helper()
	from := time.Now()
	breakIt()
	p.eventually(to+" has the address", func() error { // one that is cut off may think that it has it too
		if h := p.holder(); !slices.Contains(h, to) {
			return fmt.Errorf("it is at %v", h)
		}
		return nil
	})
	now := p.members(time.Now())
	longest, failed := p.outage(from)
	p.t.Logf("the other node was %s: no client was without an answer for longer than %s; %d requests failed meanwhile", how, longest.Round(time.Millisecond), failed)
	if longest >= takeOver {
		p.t.Errorf("%s: a client had no answer for %s, want less than %s", how, longest, takeOver)
	}
	if !maps.Equal(now, members) {
		p.t.Errorf("%s: clients changed their member:\n%v\nbefore:\n%v", how, now, members)
	}
}

// drained: the word that an operator said before holds, and a stranger does not get that member.
func (p *pair) drained(node string) {
	p.t.Helper()
	if err := p.wants(node, "switchpoint lb why brokers/us1 --node "+pageState, "draining", "drained by ann: new disks"); err != nil {
		p.t.Errorf("%s: %v", node, err)
	}
	if err := p.wants(node, "switchpoint explain --client 203.0.113.9 --node "+pageState, "- us1 ", "by the pool's method"); err != nil {
		p.t.Errorf("%s: %v", node, err)
	}
}

// comesBack starts a node again. It does not take the address, no request notices it, and it learns
// who has which member.
func (p *pair) comesBack(node string, members map[int]string) {
	p.t.Helper()
	holders := p.holder()
	from := time.Now()
	p.startLB(node)
	p.inStep()
	p.eventually("keepalived takes "+node+" for one that may have the address", func() error {
		return p.wants(node, "tail -n 3 "+p.dir+"/"+node+"-keepalived.log", "Entering BACKUP STATE")
	})
	time.Sleep(2 * time.Second) // nothing is to happen in it
	if h := p.holder(); len(h) != 1 || h[0] != holders[0] {
		p.t.Errorf("%s is back, and the address has moved from %v to %v", node, holders, h)
	}
	if _, failed := p.outage(from); failed > 0 {
		p.t.Errorf("%d requests failed while %s came back", failed, node)
	}
	if now := p.members(from); !maps.Equal(now, members) {
		p.t.Errorf("clients changed their member: %v, before: %v", now, members)
	}
}

// stopped stops a node as systemd does. The address moves before it takes no more connections: a
// client loses at most the request that is in flight when that happens.
func (p *pair) stopped(node, to string, members map[int]string) {
	p.t.Helper()
	from := time.Now()
	if err := p.programs[node].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	p.awaitHolder(to)
	moved := time.Now()
	<-p.programs[node].done
	if p.programs[node].err != nil {
		p.t.Errorf("%s: %v", node, p.programs[node].err)
	}
	now := p.members(moved)
	failed := map[int]int{}
	for _, c := range p.since(from) {
		if c.Err == "" {
			continue
		}
		p.t.Logf("client %d: %s, from %s to %s after the stop; the address had moved at %s", c.Client, c.Err, c.At.Sub(from), c.Done.Sub(from), moved.Sub(from))
		if failed[c.Client]++; failed[c.Client] > 1 || c.At.After(moved) {
			p.t.Errorf("client %d lost more than a request that was in flight when the address moved", c.Client)
		}
	}
	longest, _ := p.outage(from)
	p.t.Logf("%s was stopped: %d of %d clients lost the request that was in flight, none was without an answer for longer than %s", node, len(failed), pairClients, longest.Round(time.Millisecond))
	if longest >= takeOver {
		p.t.Errorf("stopped: a client had no answer for %s, want less than %s", longest, takeOver)
	}
	if !maps.Equal(now, members) {
		p.t.Errorf("stopped: clients changed their member:\n%v\nbefore:\n%v", now, members)
	}
}
