package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// agentLine bounds the line that an agent may say.
const agentLine = 1 << 10

// inLine completes "timed out ..." of an agent's line.
const inLine stage = "before the end of the line"

// newAgent is kind "agent", the line protocol of HAProxy's agent-check: connect, say Send if
// there is one, and read one line of words.
func newAgent(m Monitor, d *dialer) exchange {
	send := []byte(m.Send)
	return func(ctx context.Context, address string, r *Result) {
		conn := d.dialAndSend(ctx, address, send, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		line, ok := readLine(ctx, conn, r)
		if !ok {
			return
		}
		r.keep(line)
		w := agentSays(string(line))
		r.State, r.Reason, r.Load = w.state, w.reason, w.load
	}
}

// readLine reads up to the first CR, LF or end of the stream. On failure it has said why in r.
func readLine(ctx context.Context, conn io.Reader, r *Result) (line []byte, ok bool) {
	start := time.Now()
	var buf [agentLine]byte
	n := 0
	for {
		got, err := conn.Read(buf[n:])
		if got > 0 && n == 0 {
			r.TTFB = time.Since(start)
		}
		n += got
		if end := bytes.IndexAny(buf[:n], "\r\n"); end >= 0 {
			return buf[:end], true
		}
		switch {
		case n == 0 && err != nil:
			r.fail(ctx, inFirstByte, err)
			return nil, false
		case errors.Is(err, io.EOF):
			return buf[:n], true
		case err != nil:
			r.keep(buf[:n])
			r.fail(ctx, inLine, err)
			r.Reason += ": so far it was " + show(buf[:n])
			return nil, false
		case n == len(buf):
			r.keep(buf[:n])
			r.down(fmt.Sprintf("the line is longer than %d bytes, it begins with %s", agentLine, show(buf[:n])))
			return nil, false
		}
	}
}

// agentWord is what an agent's line means.
type agentWord struct {
	state  State
	reason string
	load   Load
}

// agentSays reads an agent's line. It is pure. The words are parted by blanks, tabs and commas,
// in any case; what follows "#" is a remark for people. Of several words the gravest counts:
//
//	up, ready, NN%, maxconn:NN   up, with what it says of its load
//	drain, 0%                    draining
//	maint                        maintenance
//	down, fail, stopped          down
//
// A word that is none of these makes it down: an agent that is not understood vouches for nothing.
func agentSays(line string) agentWord {
	words, remark, _ := strings.Cut(line, "#")
	w := agentWord{state: Unknown, load: noLoad}
	said := ""
	for _, word := range strings.FieldsFunc(words, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		s, ok := w.word(strings.ToLower(word))
		if !ok {
			return agentWord{state: Down, load: noLoad, reason: "the agent says " + show([]byte(word)) + ", which is no word of the protocol"}
		}
		if graver(s, w.state) {
			w.state, said = s, word
		}
	}
	switch {
	case w.state == Unknown:
		return agentWord{state: Down, load: noLoad, reason: "the agent says nothing"}
	case w.state == Down:
		w.load = noLoad
	}
	w.reason = "the agent says " + said
	if remark = strings.TrimSpace(remark); remark != "" {
		w.reason += ": " + show([]byte(remark))
	}
	return w
}

// word takes one word in and gives the state that it stands for.
func (w *agentWord) word(word string) (State, bool) {
	switch word {
	case "up", "ready":
		return Up, true
	case "drain":
		return Draining, true
	case "maint":
		return Maintenance, true
	case "down", "fail", "stopped":
		return Down, true
	}
	if digits, ok := strings.CutSuffix(word, "%"); ok {
		n, ok := agentNumber(digits)
		if !ok {
			return Unknown, false
		}
		w.load.Weight = n
		if n == 0 {
			return Draining, true
		}
		return Up, true
	}
	if digits, ok := strings.CutPrefix(word, "maxconn:"); ok {
		n, ok := agentNumber(digits)
		w.load.Capacity = n
		return Up, ok
	}
	return Unknown, false
}

// agentNumber reads a number that an agent may say.
func agentNumber(digits string) (int, bool) {
	const longest = 6
	n, err := strconv.ParseUint(digits, 10, 32)
	return int(n), err == nil && len(digits) <= longest
}

// graver says whether a counts before b: maintenance, down, draining, up, nothing.
func graver(a, b State) bool {
	rank := [...]int{Unknown: 0, Up: 1, Overloaded: 2, Draining: 3, Down: 4, Maintenance: 5}
	return rank[a] > rank[b]
}
