package gtm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// logLines reads a query log once it has at least n whole lines.
func logLines(t *testing.T, path string, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Count(text, []byte("\n")) >= n {
			var out []map[string]any
			for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
				line := map[string]any{}
				if err := json.Unmarshal(s.Bytes(), &line); err != nil {
					t.Fatalf("%q: %v", s.Text(), err)
				}
				out = append(out, line)
			}
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has %q, want %d lines", path, text, n)
		}
	}
}

// TestQueryLog: what is logged of a query; the file is opened anew when it was moved away, and a
// reload takes another file and another sample.
func TestQueryLog(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queries.log")
	compiled := func(file string, sample int) *Table {
		cfg := goodConfig()
		cfg.QueryLog = QueryLog{File: file, Sample: sample}
		table, err := Compile(cfg, anyRef)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	s, addr := startServer(t, Options{}, compiled(path, 1))
	q := new(dns.Msg).SetQuestion("Cb.company.com.", dns.TypeA).SetEdns0(1232, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{10, 2, 3, 0},
	})
	if _, _, err := new(dns.Client).Exchange(q, addr); err != nil {
		t.Fatal(err)
	}
	ask(t, "tcp", addr, "nothing.company.com.", dns.TypeMX)
	lines := logLines(t, path, 2)
	delete(lines[0], "time")
	for key, want := range map[string]any{
		"client": "127.0.0.1", "subnet": "10.2.3.0/24", "transport": "udp", "name": "Cb.company.com.", "type": "A",
		"steered": "cb.company.com.", "policy": "round-robin", "rcode": "NOERROR", "scope": 16.0,
	} {
		if lines[0][key] != want {
			t.Errorf("%s is %v, want %v in %v", key, lines[0][key], want, lines[0])
		}
	}
	if ttl := lines[0]["ttl"]; ttl == 0.0 {
		t.Error("no TTL")
	}
	if dc := lines[0]["datacenter"]; dc != "us" && dc != "uk" {
		t.Errorf("datacenter %v", dc)
	}
	if l := lines[1]; l["rcode"] != "NXDOMAIN" || l["transport"] != "tcp" || l["type"] != "MX" || l["subnet"] != nil || l["steered"] != "company.com." {
		t.Errorf("a name that does not exist: %v", l)
	}

	moved := filepath.Join(dir, "queries.log.1")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	ask(t, "udp", addr, "cb.company.com.", dns.TypeA)
	logLines(t, path, 1)
	logLines(t, moved, 2)

	other := filepath.Join(dir, "other.log")
	s.SetTable(compiled(other, 3))
	for range 9 {
		ask(t, "udp", addr, "cb.company.com.", dns.TypeA)
	}
	if lines := logLines(t, other, 3); len(lines) != 3 {
		t.Errorf("%d of 9 queries were logged, want 3", len(lines))
	}
}

// TestQueryLogNeverBlocks: with nobody who writes, queries are counted as lost and go on.
func TestQueryLogNeverBlocks(t *testing.T) {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lost_total"}, []string{"reason"})
	l := newQueryLog(lost, slog.New(slog.DiscardHandler))
	for range queryLogQueue + 7 {
		l.take(QueryLog{File: "queries.log", Sample: 1}, time.Unix(1e9, 0), netip.MustParseAddr("192.0.2.1"), "udp", outcome{})
	}
	if n := testutil.ToFloat64(lost.WithLabelValues(lostBusy)); n != 7 {
		t.Errorf("%v are counted as lost, want 7", n)
	}
}

// TestQueryLogFullDisk: a disk that is full is reported once, what is lost is counted, and after it
// lines are written again.
func TestQueryLogFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatalf("a device that is always full is needed: %v", err)
	}
	var said bytes.Buffer
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lost_total"}, []string{"reason"})
	f := newQueryLog(lost, slog.New(slog.NewTextHandler(&said, nil))).file()
	defer f.Close()
	for range 3 {
		f.add("x")
		f.add("y")
		f.flush("/dev/full")
	}
	if n := testutil.ToFloat64(lost.WithLabelValues(lostWrite)); n != 6 || strings.Count(said.String(), "level=ERROR") != 1 {
		t.Errorf("%v lost, want 6; said\n%s", n, &said)
	}
	path := filepath.Join(t.TempDir(), "q.log")
	f.add("whole")
	f.flush(path)
	f.add("next")
	f.flush(path)
	if text, _ := os.ReadFile(path); string(text) != "\"whole\"\n\"next\"\n" {
		t.Errorf("the file has %q", text)
	}
	if !strings.Contains(said.String(), "written again") {
		t.Errorf("said\n%s", &said)
	}
}

// TestQueryLogKeepsTheRest: what was sampled before the end is written.
func TestQueryLogKeepsTheRest(t *testing.T) {
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lost_total"}, []string{"reason"})
	l := newQueryLog(lost, slog.New(slog.DiscardHandler))
	cfg := QueryLog{File: filepath.Join(t.TempDir(), "q.log"), Sample: 2}
	for range 10 {
		l.take(cfg, time.Unix(1e9, 0), netip.MustParseAddr("192.0.2.1"), "udp", outcome{question: "a."})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.run(ctx, func() QueryLog { return cfg }); err != nil {
		t.Fatal(err)
	}
	if lines := logLines(t, cfg.File, 5); len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
	if err := (Config{Listen: []string{"127.0.0.1:53"}, QueryLog: QueryLog{Sample: -1}}).Validate(); err == nil || !strings.Contains(err.Error(), "query_log.sample") {
		t.Errorf("a negative sample: %v", err)
	}
}
