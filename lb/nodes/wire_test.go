package nodes

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/lb/stick"
)

func names(id uint32) (Member, bool) {
	return map[uint32]Member{1: {"brokers", "10.0.0.11:443"}, 2: {"brokers", "10.0.0.12:443"}}[id], id == 1 || id == 2
}

func entry(n int, member uint32, left time.Duration) stick.Entry {
	return stick.Entry{Key: key(n), Member: member, Expires: uint32((time.Hour + left) / stick.Tick)}
}

func TestWire(t *testing.T) {
	w := newWriter(names)
	for _, e := range []stick.Entry{
		entry(1, 2, 300*time.Second), entry(2, 1, stick.Tick), entry(3, 2, 24*time.Hour),
		entry(4, 3, time.Minute), // has left
		entry(5, 1, 0), entry(6, 1, -time.Minute),
	} {
		if w.add(e, time.Hour) {
			t.Error("full")
		}
	}
	body, n := w.take(header{all: true, start: 77, words: 88})
	if n != 3 {
		t.Errorf("%d entries", n)
	}
	got, err := decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if got.header != (header{true, 77, 88}) || !slices.Equal(got.members, []Member{{"brokers", "10.0.0.12:443"}, {"brokers", "10.0.0.11:443"}}) {
		t.Errorf("%+v", got)
	}
	if want := []wireEntry{{key(1), 0, 3000}, {key(2), 1, 1}, {key(3), 0, 864_000}}; !slices.Equal(got.entries, want) {
		t.Errorf("%+v", got.entries)
	}
	w.add(entry(9, 1, time.Minute), time.Hour) // the next message has its own numbers
	body, _ = w.take(header{start: 77})
	if got, err = decode(body); err != nil || got.all || len(got.members) != 1 || len(got.entries) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWireFills(t *testing.T) {
	w := newWriter(names)
	n := 0
	for ; !w.add(entry(n, 1, 300*time.Second), time.Hour); n++ {
	}
	body, _ := w.take(header{start: 1})
	if len(body) > maxMessage || n < maxBatch {
		t.Errorf("%d entries in %d bytes", n, len(body))
	}
	if got, err := decode(body); err != nil || len(got.entries) != n+1 {
		t.Errorf("%v", err)
	}
}

func TestWireRefuses(t *testing.T) {
	good := func() []byte {
		w := newWriter(names)
		w.add(entry(1, 1, time.Minute), time.Hour)
		b, _ := w.take(header{start: 1})
		return b
	}
	change := func(at int, b byte) []byte {
		out := good()
		out[at] = b
		return out
	}
	for name, tc := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":               {nil, "breaks off"},
		"another version":       {change(0, 2), "version 2"},
		"no start":              {append([]byte{1, 0}, make([]byte, 18)...), "which start"},
		"a tail":                {append(good(), 0), "1 bytes follow"},
		"an end too soon":       {good()[:len(good())-1], "breaks off"},
		"too many members":      {append(good()[:headSize], 0xff, 0xff, 0x7f), "members are more"},
		"a long name":           {append(good()[:headSize], 1, 0xff, 0x7f), "letters of a name"},
		"a name that is none":   {change(headSize+2, 0), "no name"},
		"more entries than fit": {append(good()[:headSize], 0, 0xff, 0x7f), "entries are more"},
		"of no member":          {change(len(good())-3, 1), "member 1 of 1"},
		"too long":              {make([]byte, maxMessage+1), "too long"},
		"an endless number":     {append(good()[:headSize], bytes.Repeat([]byte{0xff}, 20)...), "breaks off"},
		"an endless time":       {append(good()[:len(good())-2], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "ticks are more"},
	} {
		if _, err := decode(tc.body); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecode: a peer is trusted, but its faults must not spread.
func FuzzDecode(f *testing.F) {
	w := newWriter(names)
	for n := range 20 {
		w.add(entry(n, uint32(1+n%2), time.Duration(n)*time.Minute), time.Hour)
	}
	good, _ := w.take(header{start: 1, all: true})
	f.Add(good)
	empty, _ := w.take(header{start: 1})
	f.Add(empty)
	f.Add(good[:len(good)-5])
	f.Add(append(slices.Clone(empty[:headSize]), binary.AppendUvarint(nil, 1<<63)...))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decode(body)
		if err != nil {
			return
		}
		if m.start == 0 || len(m.members) > maxMembers || 18*len(m.entries) > len(body) {
			t.Fatalf("%+v", m)
		}
		for _, one := range m.members {
			if !named(one.Pool) || !named(one.Address) {
				t.Fatalf("%q", one)
			}
		}
		for _, e := range m.entries {
			if e.member >= len(m.members) || e.left > uint64(maxLeft/stick.Tick) {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	many := Config{}
	for n := range maxPeers + 1 {
		many.Peers = append(many.Peers, strings.Repeat("x", n+1))
	}
	for name, c := range map[string]Config{"twice": {Peers: []string{"a", "a"}}, "empty": {Peers: []string{""}}, "many": many} {
		if c.Validate() == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
	c := Config{Peers: []string{"a", "b"}}
	if err := c.Validate(); err != nil || !slices.Equal(c.Others("a"), []string{"b"}) || len(c.Peers) != 2 {
		t.Errorf("%v %v", err, c.Others("a"))
	}
}

// TestChangesOfManyMembers: changes of more members than one message can name go in several.
func TestChangesOfManyMembers(t *testing.T) {
	const many = 3 * maxMembers
	journal := stick.NewJournal(many)
	table := stick.New(many, journal)
	for i := range many {
		table.Bind(key(i), uint32(i+1), 0, keep)
	}
	got := 0
	n, err := New(Options{
		Name: "lb-1", Table: table, Journal: journal, Clock: func() time.Duration { return 0 },
		NameOf: func(id uint32) (Member, bool) { return Member{"p", fmt.Sprintf("10.0.0.1:%d", id)}, true },
		Call: func(_ context.Context, _, _ string, body []byte) ([]byte, error) {
			msg, err := decode(body)
			if err != nil {
				return nil, err
			}
			got += len(msg.entries)
			return json.Marshal(answer{Start: 7})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.tellChanges(t.Context(), &member{name: "lb-2", start: 7}, header{start: 1}); err != nil || got != many {
		t.Errorf("%d of %d changes arrived: %v", got, many, err)
	}
}
