package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"switchpoint/gtm"
	"switchpoint/internal/covers"
	"switchpoint/peer"
)

// gtmNode is a node with a steered name in two datacenters that are alive, one in the DR mode, and a
// peer that nobody has ever heard of.
const gtmNode = `
[node]
name = "gtm1"
datacenter = "us"
state_dir = "state"

[[datacenter]]
name = "us"
[[datacenter]]
name = "uk"

[[monitor]]
name = "tcp"
kind = "tcp"
interval = "200ms"
timeout = "100ms"
PEER
[gtm]
listen = ["127.0.0.1:0"]
NODES
[[gtm.topology]]
prefix = "10.2.0.0/16"
datacenters = ["uk", "us"]
[[gtm.zone]]
origin = "cb.company.com"
ns = ["gtm1.company.com"]
[[gtm.zone]]
origin = "bank.company.com"
ns = ["gtm1.company.com"]
[[gtm.zone]]
origin = "_connection_broker._tcp.company.com"
ns = ["gtm1.company.com"]

[[gtm.name]]
name = "cb.company.com"
monitor = "tcp"
[[gtm.name.srv]]
name = "_connection_broker._tcp.company.com"
[[gtm.name.pool]]
datacenter = "us"
members = [{ host = "lb.us.company.com", address = "127.0.0.1", port = LIVE }, { host = "lb2.us.company.com", address = "127.0.0.2", port = 1 }]
[[gtm.name.pool]]
datacenter = "uk"
members = [{ host = "lb.uk.company.com", address = "127.0.0.1", port = LIVE, weight = 2 }]

[[gtm.name]]
name = "bank.company.com"
between = "mode"
[[gtm.name.pool]]
datacenter = "us"
members = [{ address = "127.0.0.1" }]
[[gtm.name.pool]]
datacenter = "uk"
mode = "dr"
members = [{ address = "127.0.0.2" }]
`

// startGTM runs a node until the test ends and gives its state directory.
func startGTM(t *testing.T, lonely bool) string {
	t.Helper()
	dir := shortDir(t)
	live, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = live.Close() })
	var trust, members string
	if lonely {
		id, err := peer.LoadIdentity(filepath.Join(dir, "other"))
		if err != nil {
			t.Fatal(err)
		}
		trust = fmt.Sprintf("[[peer.trust]]\nname = \"gtm2\"\nkey = %q\naddress = \"127.0.0.1:1\"\n", id.PublicKey())
		members = "[gtm.nodes]\nmembers = [\"gtm2\"]\n"
	}
	text := strings.NewReplacer("PEER", trust, "NODES", members, "LIVE", fmt.Sprint(live.Addr().(*net.TCPAddr).Port)).Replace(gtmNode)
	a, cfg := newNode(t, dir, text)
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
	return cfg.Node.StateDir
}

// entered is one command with what it must print, on stdout or, if it fails, on stderr.
type entered struct {
	args string // separated by blanks, _ stands for one inside
	code int
	want []string
}

func (r entered) play(t *testing.T, state string) string {
	t.Helper()
	args := strings.Fields(r.args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "_", " ")
		if strings.HasPrefix(args[i], " connection broker") {
			args[i] = strings.ReplaceAll(args[i], " ", "_")
		}
	}
	code, out, errOut := cli(t, append(args, "--node", state)...)
	text := squeezed(out + errOut)
	if code != r.code {
		t.Errorf("%s: exit %d, want %d\n%s", r.args, code, r.code, text)
	}
	for _, w := range r.want {
		if !strings.Contains(text, w) {
			t.Errorf("%s: no %q in\n%s", r.args, w, text)
		}
	}
	return text
}

// squeezed takes the padding of tables out.
func squeezed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// TestGTMCommands operates a node as an admin does.
func TestGTMCommands(t *testing.T) {
	state := startGTM(t, false)
	for _, r := range []entered{
		{"gtm status", 0, []string{
			"mode: primary\n", "document: version 0, nobody has said anything yet", "+ gtm1 this node 0 2 checks",
			"cb.company.com ttl ", "+ us in ", "+ uk in ", "- 127.0.0.2:1 down", "bank.company.com ttl", "- uk out",
		}},
		{"gtm status cb.company.com.", 0, []string{"+ us in "}},
		{"gtm status nothing.company.com", 1, []string{`"nothing.company.com" is not a steered name of this node; it is one of cb.company.com, bank.company.com`}},
		{"gtm why cb.company.com", 0, []string{
			"settings: between topology, all_down last-good", "+ us is in for", "decided by: in",
			"threshold: 1 of 2 members are up", "- 127.0.0.2:1 is down for",
		}},
		{"gtm why cb.company.com fr", 1, []string{`has no pool in "fr"`}},
		{"gtm mode dr --reason fire_drill --owner ann", 0, []string{
			"the mode of operation is dr instead of primary", "- bank.company.com us is out", "+ bank.company.com uk is in", "document version 1:", "+ gtm1",
		}},
		{"gtm status bank.company.com", 0, []string{"mode: dr, since ", "by ann: fire drill", "version 1 of gtm1"}},
		{"gtm mode dr --reason again --owner ann", 0, []string{"the mode of operation was dr before", "no data centre of this node goes in or out"}},
		{"gtm mode primary --reason over", 0, []string{"+ bank.company.com us is in"}},
		{"gtm mode backup --reason x", 2, []string{"primary or dr"}},
		{"gtm mode dr", 2, []string{"--reason is required"}},

		{"gtm force cb.company.com/us down --reason new_disks --for 1h --owner bob", 0, []string{"cb.company.com/us is forced down now until ", "- cb.company.com us is out: forced down by bob: new disks"}},
		{"gtm force cb.company.com/uk down --reason greed", 1, []string{"nothing was changed: the safety rules refuse this", "min_datacenters wants 1"}},
		{"gtm why cb.company.com us", 0, []string{"- us is out", "decided by: forced out", "override: cb.company.com/us down now until", "by bob: new disks", "out: forced down by bob"}},
		{"gtm status", 0, []string{"OVERRIDE STATE WHEN BY", "cb.company.com/us down now until"}},
		{"gtm force nothing.company.com down --reason x", 1, []string{"names nothing that this node steers"}},
		{"gtm force */us asleep --reason x", 1, []string{"asleep", "is no state"}},
		{"gtm force */us down --reason x --for -1s", 2, []string{"--for must be longer than 0"}},
		{"gtm force */us down --reason x --until 2001-01-01T00:00", 1, []string{"ended"}},
		{"gtm force */us down --reason x --from soon", 2, []string{"is no moment"}},
		{"gtm force */us down", 2, []string{"--reason is required"}},
		{"gtm force cb.company.com/us/127.0.0.1:* draining --reason later --from 2099-01-01T00:00Z", 0, []string{"is forced draining from 2099-01-01 00:00:00Z until released"}},
		{"gtm release cb.company.com --owner ann", 0, []string{"cb.company.com/us is not forced down any more (by bob: new disks)", "is not forced draining any more", "+ cb.company.com us is in"}},
		{"gtm release cb.company.com", 1, []string{"nothing is forced or held under", "--force says it all the same"}},
		{"gtm force cb.*/us down --reason x", 0, nil},
		{"gtm release cb.company.com/us", 1, []string{`nothing is forced or held under "cb.company.com/us" on this node; it is forced down, with all else that it names, by "cb.*/us": release that`}},
		{"gtm release cb.*", 0, []string{"cb.*/us is not forced down any more"}},
		{"gtm sites status", 1, []string{"this node follows no sites of Active Directory"}},
		{"gtm sites approve 1234", 1, []string{"[gtm.sites]"}},
	} {
		r.play(t, state)
	}
	if text := (entered{"gtm force bank.company.com/us/* down --reason x", 1, []string{"the safety rules refuse this"}}).play(t, state); strings.Contains(text, "document version") {
		t.Error(text)
	}
	code, out, _ := cli(t, "gtm", "status", "--json", "--node", state)
	var s gtm.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || len(s.Names) != 2 || s.Nodes[0].Name != "gtm1" {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
}

// TestGTMWarnsOfMissingNodes: who has not acknowledged is named, and the command still succeeds.
func TestGTMWarnsOfMissingNodes(t *testing.T) {
	state := startGTM(t, true)
	entered{"gtm force */uk maintenance --reason x", 0, []string{
		"document version 1:", "+ gtm1", "- gtm2: ", "WARNING: 1 of 1 other nodes do not have it yet",
	}}.play(t, state)
	entered{"gtm status", 0, []string{"+ gtm1 this node 1", "- gtm2 never", "not in touch"}}.play(t, state)
}

// TestExplainWhatIf asks a node and the bare file what would be.
func TestExplainWhatIf(t *testing.T) {
	covers.Req(t, "GT10")
	state := startGTM(t, false)
	file := filepath.Join(filepath.Dir(state), "node.toml")
	for _, r := range []entered{
		{"explain --client 10.2.0.1 --name cb.company.com", 0, []string{
			"10.2.0.1 is in 10.2.0.0/16 ([[gtm.topology]])", "order: uk, us", "datacenter: uk", "repeat with: --draw ", "ttl: ",
			"us 127.0.0.2:1 lb2.us.company.com.: down (", "draw: in uk: ",
		}},
		{"explain --client 10.2.0.1 --name cb.company.com --down uk --draw 7", 0, []string{"supposed: down: uk", "datacenter: us", "repeat with: --draw 7"}},
		{"explain --client 192.0.2.1 --subnet 10.2.3.0/24 --name cb.company.com", 0, []string{"datacenter: uk", "10.2.3.0/24"}},
		{"explain --client 10.2.0.1 --name bank.company.com --at-mode dr --type A", 0, []string{"supposed: mode dr", "IN A 127.0.0.2"}},
		{"explain --client 10.2.0.1 --name bank.company.com --at-mode backup", 1, []string{"write primary or dr"}},
		{"explain --client 10.2.0.1 --name cb.company.com --down fr", 1, []string{"it is one of us, uk"}},
		{"explain --client 10.2.0.1 --name cb.company.com --subnet 10.2.3.4/24", 1, []string{"without bits beyond its length"}},
	} {
		r.play(t, state)
	}
	for want, args := range map[string][]string{
		"datacenter:  us":   {"--name", "cb.company.com", "--down", "uk"},
		"IN A 127.0.0.2":    {"--name", "bank.company.com", "--at-mode", "dr"},
		"no datacenter \"f": {"--name", "cb.company.com", "--down", "fr"},
	} {
		_, out, errOut := cli(t, append([]string{"explain", "-c", file, "--client", "10.2.0.1"}, args...)...)
		if !strings.Contains(out+errOut, want) {
			t.Errorf("%v: no %q in\n%s%s", args, want, out, errOut)
		}
	}
}

// TestGTMDelegation prints from the file and from the node; the node's is verified, and without a
// parent that knows of it the exit code says so.
func TestGTMDelegation(t *testing.T) {
	state := startGTM(t, false)
	file := filepath.Join(filepath.Dir(state), "node.toml")
	code, out, errOut := cli(t, "gtm", "delegation", "cb.company.com", "-c", file)
	if code != 0 || !strings.Contains(out, "cb.company.com. 3600 IN NS gtm1.company.com.") ||
		!strings.Contains(out, "-ChildZoneName '_connection_broker._tcp'") || strings.Contains(out, "verified") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0") // takes questions and answers none
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nobody.Close() })
	for _, r := range []entered{
		{"gtm delegation cb.company.com --timeout 100ms --server " + nobody.LocalAddr().String(), 1, []string{
			"cb.company.com. 3600 IN NS gtm1.company.com.", "verified from here, cb.company.com.:", "- the parent's server 127.0.0.1:", "wrong with the delegation",
		}},
		{"gtm delegation cb.company.com --server nowhere", 2, []string{"is no address"}},
		{"gtm delegation www.cb.company.com", 1, []string{"is not a zone of its own: it lies in the zone cb.company.com"}},
	} {
		r.play(t, state)
	}
	if code, _, errOut := cli(t, "gtm", "delegation", "_tcp.company.com", "--node", state); code != 1 || !strings.Contains(errOut, "belongs to Active Directory") {
		t.Errorf("exit %d, %s", code, errOut)
	}
}
