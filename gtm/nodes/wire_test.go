package nodes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/healthcheck"
)

func key(i int) healthcheck.Key {
	return healthcheck.Key{Address: fmt.Sprintf("10.%d.%d.%d:8443", i>>16, i>>8&255, i&255), Monitor: "is_alive"}
}

// manyVotes are those of so many brokers, a tenth of them down.
func manyVotes(n int) []wireStatus {
	out := make([]wireStatus, n)
	for i := range out {
		v := vote{state: up, since: at(-i), ttfb: 1234 * time.Microsecond, steady: 8 * time.Second, load: healthcheck.Load{Active: i % 100, Capacity: 100, Mode: "normal"}}
		if i%10 == 0 {
			v = vote{state: down, since: at(-i), load: noLoad, reason: "connect: connection refused"}
		}
		out[i] = v.toWire(key(i), at(0))
	}
	return out
}

func TestReportParts(t *testing.T) {
	head := report{Node: "us-gtm", Start: 1, Seq: 7, Interval: 1000, Document: steer.Stamp{Version: 3, Node: "uk-gtm"}}
	for _, n := range []int{0, 1, 10_000, 25_000} {
		checks := manyVotes(n)
		parts, err := head.encode(checks)
		if err != nil {
			t.Fatal(err)
		}
		var got []wireStatus
		size := 0
		for i, part := range parts {
			size += len(part)
			r, err := decodeReport(part)
			if err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
			if r.Part != i || r.Parts != len(parts) || r.Node != head.Node || r.Document != head.Document {
				t.Fatalf("part %d: %+v", i, r)
			}
			got = append(got, r.Checks...)
		}
		if len(got) != n || n > 0 && !reflect.DeepEqual(got, checks) {
			t.Errorf("%d checks arrive as %d", n, len(got))
		}
		if most := 200 + n*140; size > most {
			t.Errorf("%d checks take %d bytes, more than %d", n, size, most)
		}
		t.Logf("%d checks: %d parts, %d bytes", n, len(parts), size)
	}
}

func TestVoteSurvivesTheWire(t *testing.T) {
	v := vote{
		state: overloaded, traffic: true, since: at(-90), ttfb: 1500 * time.Microsecond, steady: 8 * time.Second,
		load: healthcheck.Load{Active: 0, Capacity: 5, Mode: "hostcache", Weight: 50}, reason: "503",
	}
	b, err := json.Marshal(v.toWire(key(1), at(0)))
	if err != nil {
		t.Fatal(err)
	}
	var w wireStatus
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	v.since, v.at = at(10), at(100) // the clock of the other node is 100 s ahead
	if got := w.vote(at(100)); !reflect.DeepEqual(got, v) {
		t.Errorf("%+v\nnot %+v", got, v)
	}
}

func TestRoughVoteFitsTheBounds(t *testing.T) {
	v := vote{
		state: down, steady: 100 * time.Second, reason: strings.Repeat("ö\x01\xff", 100),
		load: healthcheck.Load{Active: 1 << 40, Capacity: 1 << 40, Mode: strings.Repeat("é", 200), Weight: 1 << 40},
	}.rough()
	parts, err := report{Node: "here", Start: 1, Seq: 1}.encode([]wireStatus{v.toWire(key(1), at(0))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeReport(parts[0]); err != nil {
		t.Error(err)
	}
	for in, want := range map[time.Duration]time.Duration{
		-1: 0, 999: 0, time.Second: time.Second, 7*time.Second + 1: 4 * time.Second, 8 * time.Second: 8 * time.Second,
	} {
		if got := coarse(in); got != want {
			t.Errorf("%s is roughly %s", in, got)
		}
	}
}

// A check whose name fits no report costs the others nothing: each node decides on it alone.
func TestNameTooLongForAReport(t *testing.T) {
	w := newWatch(map[healthcheck.Key]healthcheck.Ref{
		key(0): 0, {Address: "192.0.2.1:443", Monitor: strings.Repeat("m", maxMonitor+1)}: 1,
	})
	var mine own
	mine.reset(w)
	for i := range mine.votes {
		mine.votes[i].state = up
	}
	parts, err := report{Node: "here", Start: 1, Seq: 1}.encode(mine.after(0, w, at(0)))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := decodeReport(parts[0]); err != nil || len(r.Checks) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReportFaults(t *testing.T) {
	good := `{"node":"us","start":1,"seq":2,"base":1,"parts":1,"interval":1000,"document":{"version":0,"node":""},"later":[1],"checks":[{"a":"192.0.2.1:443","m":"web","s":"up","g":5,"l":{"a":-1,"c":-1}}]}`
	if _, err := decodeReport([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"us"`, `""`}, {`"us"`, `"u\u0007s"`}, {`"us"`, `"` + strings.Repeat("x", 400) + `"`},
		{`"start":1`, `"start":0`}, {`"seq":2`, `"seq":0`}, {`"seq":2`, `"seq":-2`}, {`"base":1`, `"base":3`},
		{`"parts":1`, `"parts":0`}, {`"parts":1`, `"parts":1,"part":1`}, {`"parts":1`, `"parts":1,"part":-1`}, {`"parts":1`, `"parts":100000`},
		{`"document":{"version":0,"node":""}`, `"document":{"version":1,"node":"` + strings.Repeat("x", 400) + `"}`},
		{`"interval":1000`, `"interval":-1`}, {`"interval":1000`, `"interval":9223372036854775807`},
		{`"192.0.2.1:443"`, `""`}, {`"192.0.2.1:443"`, `"` + strings.Repeat("x", 400) + `"`},
		{`"web"`, `""`}, {`"up"`, `"dead"`}, {`"up"`, `1`}, {`"g":5`, `"g":-5`}, {`"g":5`, `"g":9223372036854775807`},
		{`"g":5`, `"g":5,"f":-1`}, {`"g":5`, `"g":5,"k":-1`}, {`"g":5`, `"g":5,"k":100000`},
		{`"g":5`, `"g":5,"r":"` + strings.Repeat("x", 200) + `"`},
		{`"c":-1`, `"c":-2`}, {`"c":-1`, `"c":9223372036854775807`}, {`"c":-1`, `"c":1,"w":-1`}, {`"c":-1`, `"c":1,"m":"` + strings.Repeat("x", 200) + `"`},
		{good, `[]`}, {good, ``}, {good, strings.Repeat("[", 20000)}, {good, `"` + strings.Repeat("x", maxMessage) + `"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s is not in the report", change[0])
		}
		if r, err := decodeReport([]byte(bad)); err == nil {
			t.Errorf("%.60s instead of %.60s gives %+v", change[1], change[0], r)
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, n := range []int{0, 3} {
		parts, err := report{Node: "us-gtm", Start: 1, Seq: 7, Base: 7, Interval: 1000, Blind: n == 3}.encode(manyVotes(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(parts[0], uint8(n))
	}
	f.Add([]byte(`{"node":"a","start":1,"seq":1,"parts":2,"part":1}`), uint8(0))
	f.Add([]byte(`{"checks":[{"s":"maintenance"}]}`), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, known uint8) {
		r, err := decodeReport(body)
		if err != nil {
			return
		}
		w := newWatch(map[healthcheck.Key]healthcheck.Ref{key(0): 0, key(1): 1})
		b := inbox{votes: make([]vote, len(w.keys)), start: r.Start, seq: uint64(known)}
		answer, _ := b.take(r, w, at(0))
		if len(b.votes) != len(w.keys) || len(b.staged.votes) > len(w.keys) || answer.Seen != b.seq {
			t.Fatalf("%+v after %+v", b, r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		second, err := decodeReport(again)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := json.Marshal(second); err != nil || !bytes.Equal(third, again) {
			t.Fatalf("%v: %s\nnot %s", err, third, again)
		}
	})
}
