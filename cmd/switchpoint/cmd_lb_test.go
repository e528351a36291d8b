package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/internal/covers"
	"switchpoint/lb"
	"switchpoint/peer"
)

// lbNode is a balancer with two members that are alive, one that refuses, a pool that backs it up, a
// listener that routes by the name in TLS, and another lb node that nobody has ever heard of.
const lbNode = `
[node]
name = "lb-1"
datacenter = "us"
state_dir = "state"

[[datacenter]]
name = "us"

[[monitor]]
name = "page"
kind = "http"
send = "GET / HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n"
receive = "member"
interval = "200ms"
timeout = "100ms"
PEER
[lb.nodes]
peers = ["lb-1", "lb-2"]

[[lb.listener]]
name = "web"
listen = "127.0.0.1:0"
pool = "brokers"

[[lb.listener]]
name = "rdp"
listen = "127.0.0.1:0"
mode = "tcp"
pool = "reserve"
[[lb.listener.route]]
host = "*.desk.company.com"
pool = "brokers"

[[lb.pool]]
name = "brokers"
monitor = "page"
persistence = "source-address"
backup_pool = "reserve"
members = [{ name = "a", address = "ADDR_A" }, { name = "b", address = "ADDR_B" }, { name = "dead", address = "127.0.0.1:1" }]

[[lb.pool]]
name = "reserve"
lb_method = "round-robin"
persistence = "none"
members = [{ address = "ADDR_B", priority = 5 }, { name = "spare", address = "ADDR_A" }]
`

// startLB runs a node until the test ends, and gives its state directory and where it listens.
func startLB(t *testing.T) (state, web string) {
	t.Helper()
	dir := shortDir(t)
	id, err := peer.LoadIdentity(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	replace := []string{"PEER", fmt.Sprintf("[peer]\nlisten = \"127.0.0.1:0\"\n[[peer.trust]]\nname = \"lb-2\"\ncluster = \"us\"\nkey = %q\naddress = \"127.0.0.1:1\"\n", id.PublicKey())}
	for _, name := range []string{"A", "B"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "member ", name) }))
		t.Cleanup(s.Close)
		replace = append(replace, "ADDR_"+name, strings.TrimPrefix(s.URL, "http://"))
	}
	a, cfg := newNode(t, dir, strings.NewReplacer(replace...).Replace(lbNode))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	untilReady(t, cfg)
	return cfg.Node.StateDir, a.lb.Addr()["web"].String()
}

// TestLBCommands operates a balancer as an admin does.
func TestLBCommands(t *testing.T) {
	covers.Req(t, "LB8")
	state, web := startLB(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 4 { // all of them to the member that the first one got
		resp, err := client.Get("http://" + web + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	mine := boundMember(t, state)
	other := map[string]string{"a": "b", "b": "a"}[mine]
	late := func(s string) string { return strings.NewReplacer("MINE", mine, "OTHER", other).Replace(s) }
	for _, r := range []entered{
		{"lb status", 0, []string{
			"LISTENER ADDRESS MODE POOL CONNECTIONS\nweb " + web + " http brokers 0\n", " tcp reserve 0\n",
			"\nbrokers least-response-time, persistence source-address: the members that are up serve\n",
			"- dead 127.0.0.1:1 down - 0 % 0 0 1 - - connection refused",
		}},
		{"lb status reserve", 0, []string{"reserve round-robin, persistence none: ", "in reserve: members of a higher priority are enough"}},
		{"lb status nothing", 1, []string{`"nothing" is no pool of this node; it has brokers, reserve`}},
		{"lb why brokers/MINE", 0, []string{
			"+ brokers/MINE ", "gets new clients, by the pool's method", "lately: 100.0 % of the pool's choices of the last minute, 4 of 4",
			"chosen: persistence 3, method 1", "answers: 2xx 4", "weight: 1\n", "places: 0 in flight; nobody waits",
			"cost: ", "for the class other", "for the class login", "source-address, 1 clients come back to it", "requests: come through web, rdp",
			"is up since", "facts", "newest probe",
		}},
		{"lb why brokers/dead", 0, []string{"- brokers/dead 127.0.0.1:1: gets nothing: it is down (connection refused", "counts ", "history"}},
		{"lb why reserve/spare", 0, []string{"- reserve/spare", "gets no new clients: in reserve: members of a higher priority are enough", "priority: 0; in use from 5 up",
			"round-robin compares no costs", "of pool brokers while none of its members can serve", "the pool has no monitor"}},
		{"lb why brokers/zoe", 1, []string{`pool "brokers" has no member "zoe"; it has a, b, dead`}},
		{"lb why brokers", 2, []string{"give one POOL/MEMBER"}},

		{"lb drain brokers/MINE --reason new_disks --owner ann --deadline 30m --for 2h", 0, []string{
			"brokers/MINE is drained by ann: new disks (until ", "- it is draining instead of up", "drained: 0 in flight, 1 bound clients left until ",
			"+ lb-1 (took it)", "- lb-2: ", "WARNING: 1 of 1 other nodes do not have it yet",
		}},
		{"lb why brokers/MINE", 0, []string{
			"gets no new clients, only those that it has: drained by ann: new disks", "health: up (", "word: drained by ann: new disks (until ", "said at ",
			" at node lb-1; its clients lose it at ", "drain: drained: 0 in flight, 1 bound",
		}},
		{"explain --client 127.0.0.1", 0, []string{"persistence: source-address; ", "member: MINE; persistence: this client had it before, and may stay while it drains", "measured: up"}},
		{"explain --client 192.0.2.7", 0, []string{"member: OTHER; by the pool's method", "- MINE "}},
		{"explain --client 192.0.2.7 --listener rdp --host pc1.desk.company.com", 0, []string{"route: *.desk.company.com, by the name in TLS", "pool: brokers", "connect "}},
		{"explain --client 192.0.2.7 --listener rdp", 0, []string{"pool: reserve (round-robin)", "spare ", "in reserve: members of a higher priority are enough"}},
		{"explain --client 192.0.2.7 --listener rdp --host pc1.desk.company.com --path /x", 0, []string{"a tcp listener knows names only"}},
		{"lb weight brokers/OTHER 7 --reason bigger", 0, []string{"brokers/OTHER is weight 7 by "}},
		{"lb status brokers", 0, []string{"draining", "7 (configured 1)", "by "}},
		{"lb disable brokers/OTHER --reason gone", 0, []string{"brokers/OTHER is disabled by ", "- it is maintenance instead of up", "nobody may come any more",
			"WARNING: no member of pool brokers can take new clients now; the pool reserve serves instead"}},
		{"lb status brokers", 0, []string{"none can serve: all are down, draining or in maintenance; the pool reserve SERVES INSTEAD"}},
		{"explain --client 192.0.2.7", 0, []string{"instead of: brokers, of which no member can take requests now", "pool: reserve"}},
		{"lb enable brokers/OTHER", 0, []string{"brokers/OTHER is not disabled by ", "brokers/OTHER is not weight 7 by ", "+ it is up instead of maintenance"}},
		{"lb why brokers/OTHER", 0, []string{"; of it ", " now: back for ", "its share still grows (slow_start)"}},
		{"lb enable brokers/OTHER", 0, []string{"nothing was said of brokers/OTHER before", "+ it is up as before"}},
		{"lb weight brokers/OTHER configured --reason x", 0, []string{"nothing was said of brokers/OTHER before"}},
		{"lb drain brokers/MINE", 2, []string{"--reason is required"}},
		{"lb drain brokers/MINE --reason x --deadline 0s", 2, []string{"--deadline must be longer than 0"}},
		{"lb drain brokers/MINE --reason x --for -1s", 2, []string{"--for must be longer than 0"}},
		{"lb weight brokers/MINE heavy --reason x", 2, []string{`"heavy" is no weight; write a number from 0 to 1000, or configured`}},
		{"lb weight brokers/MINE 1001 --reason x", 1, []string{"1001 is no weight"}},
		{"lb disable nothing/MINE --reason x", 1, []string{`there is no pool "nothing"; there are brokers, reserve`}},
		{"lb nodes", 0, []string{"NODE HEARD LACKS SENT RECEIVED TROUBLE\n- lb-2 never all 0 0 peer unreachable: lb-2"}},
	} {
		r.args = late(r.args)
		for i := range r.want {
			r.want[i] = late(r.want[i])
		}
		r.play(t, state)
	}
}

// boundMember is the one member that has a client, in JSON as scripts read it.
func boundMember(t *testing.T, state string) string {
	t.Helper()
	code, out, _ := cli(t, "lb", "status", "--json", "--node", state)
	var s lb.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || len(s.Pools) != 2 || len(s.Listeners) != 2 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	for _, m := range s.Pools[0].Members {
		if m.Bound == 1 && m.Lately == 4 && m.Takes && m.Chosen["persistence"] == 3 {
			return m.Name
		}
	}
	t.Fatalf("nobody has the client:\n%s", out)
	return ""
}

// TestLBCommandsElsewhere: a node without the role says so.
func TestLBCommandsElsewhere(t *testing.T) {
	state := startGTM(t, false)
	entered{"lb status", 1, []string{"this node has no lb role; ask one that has"}}.play(t, state)
	entered{"lb enable brokers/a", 1, []string{"this node has no lb role"}}.play(t, state)
}
