package lb

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
	"switchpoint/lb/choice"
)

func word(do, member string) Word {
	return Word{Pool: "brokers", Member: member, Do: do, Owner: "alice", Reason: "update"}
}

// say is Operate that must succeed.
func (r *running) say(w Word) {
	r.t.Helper()
	if err := r.Operate(w); err != nil {
		r.t.Fatal(err)
	}
}

// member is the status of a member of the first pool.
func (r *running) member(name string) MemberStatus {
	r.t.Helper()
	for _, m := range r.Status().Pools[0].Members {
		if m.Name == name {
			return m
		}
	}
	r.t.Fatalf("no member %s", name)
	return MemberStatus{}
}

// TestDrainGracefully: drain with and without persistent clients, in words and in numbers.
func TestDrainGracefully(t *testing.T) {
	covers.Req(t, "LB4")
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].Persistence = "source-address"
	r := start(t, cfg)
	c := client(t, nil)
	_, mine := get(t, c, "http://"+r.addr+"/")
	other := map[string]string{"a": "b", "b": "a"}[mine]
	stranger := netip.MustParseAddr("192.0.2.1")

	w := word(Drain, mine)
	w.Deadline = time.Now().Add(time.Hour)
	r.say(w)
	for range 5 {
		if _, got := get(t, c, "http://"+r.addr+"/"); got != mine {
			t.Errorf("a bound client goes to %s", got)
		}
		if e := r.Explain("front", stranger); e.Member != other {
			t.Errorf("a new client goes to %s", e.Member)
		}
	}
	if e := r.Explain("front", loopback); e.Reason != choice.PersistedDraining.String() {
		t.Errorf("%s", e.Reason)
	}
	if text := strings.Join(r.Explain("front", stranger).Lines(), "\n"); !strings.Contains(text, "draining (drained by alice: update)") || !strings.Contains(text, "measured: up") {
		t.Errorf("%s", text)
	}
	m := r.member(mine)
	if m.State != "draining" || m.Health != "up" || m.Bound != 1 || !strings.HasPrefix(m.Drain, "drained: 0 in flight, 1 bound clients left until ") {
		t.Errorf("%+v", m)
	}

	// The deadline comes: the clock of the words is turned on.
	r.turnWords(w.Deadline.Add(time.Second))
	if _, got := get(t, c, "http://"+r.addr+"/"); got != other {
		t.Errorf("past the deadline: %s", got)
	}
	if m = r.member(mine); m.State != "maintenance" {
		t.Errorf("%+v", m)
	}

	r.say(word(Enable, mine))
	if m = r.member(mine); m.State != "up" || m.Drain != "" || len(m.Words) != 0 || m.Back == 0 {
		t.Errorf("enabled: %+v", m)
	}

	// Without persistent clients a drain is over when nothing is in flight.
	r.say(word(Drain, mine))
	if m = r.member(mine); m.Drain != "drained: 0 in flight, 0 bound clients left" {
		t.Errorf("%q", m.Drain)
	}
}

// TestDisableAndWeight: nobody at all; shares by weight; both at once; and back.
func TestDisableAndWeight(t *testing.T) {
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg := plainConfig(members(a, b))
	cfg.Pools[0].SlowStart = time.Millisecond
	r := start(t, cfg)
	c := client(t, nil)
	share := func() (n int) {
		eventually(t, "no share grows any more", func() bool { return r.member("a").Back == 0 && r.member("b").Back == 0 })
		for range 20 {
			if _, got := get(t, c, "http://"+r.addr+"/"); got == "a" {
				n++
			}
		}
		return n
	}
	three := word(Weight, "a")
	three.Weight = 3
	r.say(three)
	if n := share(); n != 15 {
		t.Errorf("weight 3 gets %d of 20", n)
	}
	r.say(word(Disable, "a"))
	if n := share(); n != 0 {
		t.Errorf("disabled: %d of 20", n)
	}
	m := r.member("a")
	if len(m.Words) != 2 || m.Weight != 3 || m.Configured != 1 || m.Health != "up" || m.State != "maintenance" || !strings.HasPrefix(m.Drain, "disabled: 0 in flight") {
		t.Errorf("%+v", m)
	}
	r.say(word(Enable, a.addr)) // by address, and both words at once
	if n := share(); n < 9 || n > 11 {
		t.Errorf("enabled: %d of 20", n)
	}
	if len(r.words.Load().list()) != 2 {
		t.Errorf("other nodes need to know of both: %+v", r.words.Load().list())
	}
	none := word(Weight, "b")
	r.say(none)
	if n := share(); n != 20 {
		t.Errorf("with weight 0 at the other one: %d of 20", n)
	}
	r.say(word(Disable, "a"))
	if status, body := get(t, c, "http://"+r.addr+"/"); status != 503 || !strings.Contains(body, "can take requests") {
		t.Errorf("nobody is left: %d %q", status, body)
	}
	none.Weight = AsConfigured
	r.say(none)
	if n := share(); n != 0 {
		t.Errorf("the other one is back: %d of 20", n)
	}
}

// TestWordsAreRefused: what makes no sense changes nothing.
func TestWordsAreRefused(t *testing.T) {
	r := start(t, plainConfig(members(startBackend(t, says("a")))))
	for _, tt := range []struct {
		w    Word
		want string
	}{
		{word(Drain, "z"), `has no member "z"; it has a`},
		{Word{Pool: "x", Member: "a", Do: Drain, Owner: "o", Reason: "r"}, `no pool "x"; there are brokers`},
		{word("stop", "a"), "drain, disable, enable or weight"},
		{Word{Pool: "brokers", Member: "a", Do: Drain, Owner: "o"}, "reason is missing"},
	} {
		if err := r.Operate(tt.w); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	if len(r.words.Load().list()) != 0 || r.live.Load().pools[0].over.Load() != nil {
		t.Errorf("something was said: %v", r.words.Load().list())
	}
}

// TestWordsLast: words survive a reload, in which the member is away for a while, and a restart;
// where they cannot be kept, nothing is said.
func TestWordsLast(t *testing.T) {
	covers.Req(t, "LB7")
	a, b := startBackend(t, says("a")), startBackend(t, says("b"))
	cfg, dir := plainConfig(members(a, b)), t.TempDir()
	keep := func(o *Options) { o.StateDir, o.Node = dir, "lb-1" }
	r := start(t, cfg, keep)
	r.say(word(Drain, "a"))
	less := cfg
	less.Pools = slices.Clone(cfg.Pools)
	less.Pools[0].Members = cfg.Pools[0].Members[1:]
	for _, next := range []Config{cfg, less, cfg} {
		r.reload(next)
	}
	if m := r.member("a"); m.State != "draining" {
		t.Errorf("after reloads %+v", m)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg, keep)
	m := r.member("a")
	if m.State != "draining" || len(m.Words) != 1 || m.Words[0].Owner != "alice" || m.Words[0].Node != "lb-1" || m.Words[0].Version != 1 {
		t.Errorf("after a restart %+v", m)
	}
	if err := os.Symlink("/dev/full", filepath.Join(dir, wordsFile+".new")); err != nil {
		t.Fatal(err)
	}
	if err := r.Operate(word(Enable, "a")); err == nil {
		t.Error("said, and not kept")
	}
	if m := r.member("a"); m.State != "draining" {
		t.Errorf("what could not be kept holds: %+v", m)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, wordsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r = start(t, cfg, keep); len(r.words.Load().list()) != 0 || r.member("a").State != "up" {
		t.Error("what cannot be read holds")
	}
}

// TestWordsOfOtherNodes: two balancers know the same after each has heard the other.
func TestWordsOfOtherNodes(t *testing.T) {
	covers.Req(t, "LB9")
	cfg := plainConfig(members(startBackend(t, says("a")), startBackend(t, says("b"))))
	one := start(t, cfg, func(o *Options) { o.Node = "lb-1" })
	two := start(t, cfg, func(o *Options) { o.Node = "lb-2" })
	one.say(word(Drain, "a"))
	two.say(word(Disable, "a")) // in the same minute: the greater node counts
	two.say(word(Drain, "b"))
	for range 2 {
		if err := one.AdoptWords("lb-2", two.WordBytes()); err != nil {
			t.Fatal(err)
		}
		before := two.WordBytes()
		if err := two.AdoptWords("lb-1", one.WordBytes()); err != nil || !bytes.Equal(before, two.WordBytes()) {
			t.Fatalf("%v; it knew all of that", err)
		}
	}
	if !bytes.Equal(one.WordBytes(), two.WordBytes()) || one.member("a").State != "maintenance" || one.member("b").State != "draining" {
		t.Errorf("%s\n%s", one.WordBytes(), two.WordBytes())
	}
	one.say(word(Enable, "a"))
	if err := two.AdoptWords("lb-1", one.WordBytes()); err != nil || two.member("a").State != "up" {
		t.Errorf("%v, %+v", err, two.member("a"))
	}
	said := func(version, more string) []byte {
		return []byte(`[{"pool":"brokers","member":"x","do":"disable","owner":"o","reason":"r","set":"2026-01-02T03:04:05Z","version":` + version + more + `}]`)
	}
	if err := two.AdoptWords("lb-1", said("7", `,"said_to_a_newer_node":1`)); err != nil {
		t.Errorf("a rolling upgrade: %v", err)
	}
	before := two.WordBytes()
	for _, ahead := range []string{"1048600", "9007199254740992", "9007199254740993", "18446744073709551615"} {
		if err := two.AdoptWords("lb-1", said(ahead, "")); err == nil {
			t.Errorf("version %s was taken: what operators say after it would count for nothing", ahead)
		}
	}
	for _, bad := range []string{"", "{}", "[] []", `[{"pool":"p"}]`, `[{"pool":"p","member":"m","do":"x","owner":"o","set":"2026-01-02T03:04:05Z","version":9}]`, `[{"more":1}]`} {
		if err := two.AdoptWords("lb-1", []byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if !bytes.Equal(before, two.WordBytes()) {
		t.Error("a malformed message changed something")
	}
	two.say(word(Enable, "b"))
	if two.member("b").State != "up" {
		t.Errorf("operators are heard no more: %+v", two.member("b"))
	}
}

// TestWordsAfterLoss: a node that lost its state says version 1 once more; all nodes end with the same
// word of both, whatever came first.
func TestWordsAfterLoss(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	before := Word{Pool: "p", Member: "m", Do: Disable, Owner: "o", Reason: "r", Version: 1, Node: "lb-1", Set: now.Add(-time.Hour)}
	after := before
	after.Do, after.Set = Drain, now
	one, _ := words{}.with([]Word{after, before}, now)
	two, _ := words{}.with([]Word{before, after}, now)
	if !bytes.Equal(one.encode(), two.encode()) || one[after.key()].Do != Drain {
		t.Errorf("%s\n%s", one.encode(), two.encode())
	}
}

// TestWordsBuriedAtStart: what is over for long is forgotten at a start, as the other nodes have
// forgotten it: else the nodes would differ for ever.
func TestWordsBuriedAtStart(t *testing.T) {
	dir := t.TempDir()
	over := Word{Pool: "brokers", Member: "m", Do: Enable, Owner: "o", Version: 1, Set: time.Now().Add(-wordGrave)}
	if err := os.WriteFile(filepath.Join(dir, wordsFile), words{over.key(): over}.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, plainConfig([]Member{{Address: "127.0.0.1:1"}}), func(o *Options) { o.StateDir = dir })
	if b := r.WordBytes(); string(b) != "[]\n" {
		t.Errorf("%s", b)
	}
}

// TestWordsBesideHealth: a word does not hide what is measured, nor make a member better than it is.
func TestWordsBesideHealth(t *testing.T) {
	a, b := startProbed(t, "1", "9", "normal"), startProbed(t, "1", "9", "normal")
	cfg := plainConfig(members(a.backend, b.backend))
	r, engine := startChecked(t, cfg, healthcheck.Monitor{})
	r.say(word(Drain, "a"))
	a.status.Store(500)
	eventually(t, "it is down, drained or not", func() bool { return r.member("a").State == "down" })
	if m := r.member("a"); m.Health != "down" || len(m.Words) != 1 || m.Drain == "" {
		t.Errorf("%+v", m)
	}
	a.status.Store(503)
	eventually(t, "it drains, and is overloaded", func() bool { m := r.member("a"); return m.State == "draining" && m.Health == "overloaded" })
	r.say(word(Enable, "a"))
	if m := r.member("a"); m.State != "overloaded" || engine == nil {
		t.Errorf("enabling makes it %+v", m)
	}
}

// TestDisablePinned: disable means nobody, so not the client of an own connection either; drain
// leaves it.
func TestDisablePinned(t *testing.T) {
	cfg := plainConfig([]Member{{Name: "a", Address: startNTLM(t, "a")}, {Name: "b", Address: startNTLM(t, "b")}})
	r := start(t, cfg)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	br := bufio.NewReader(c)
	who := func(auth string) (int, string) {
		t.Helper()
		if _, err := fmt.Fprintf(c, "GET /secret HTTP/1.1\r\nHost: x\r\n%s\r\n", auth); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		name, _, _ := strings.Cut(string(body), " ")
		return resp.StatusCode, name
	}
	_, mine := who("Authorization: NTLM hello\r\n")
	if status, at := who("Authorization: NTLM user=ann\r\n"); status != 200 || at != mine {
		t.Fatalf("%d at %s, began at %s", status, at, mine)
	}
	r.say(word(Drain, mine))
	for range 3 {
		if status, at := who(""); status != 200 || at != mine {
			t.Errorf("drained: %d at %s", status, at)
		}
	}
	r.say(word(Disable, mine))
	if status, at := who(""); status != 401 || at == mine {
		t.Errorf("disabled: %d at %s", status, at)
	}
}
