package isalive

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	f := func(target string, want bool) {
		t.Helper()
		if got := Match(target); got != want {
			t.Errorf("Match(%q) = %v", target, got)
		}
	}
	f("/index.pl?action=is_alive", true)
	f("/index.pl?action=cb_status", true)
	f("/index.pl?x=1&action=is_alive&y=2", true)
	f("/index.pl", false)
	f("/index.pl?action=login&action=is_alive", false)
	f("/index.pl?action=is_alive2", false)
	f("/index.pl?xaction=is_alive", false)
	f("/Index.pl?action=is_alive", false)
	f("//index.pl?action=is_alive", false)
	f("http://cb/index.pl?action=is_alive", false)
	f("", false)
}

func TestAnswerBytesIsHTTP(t *testing.T) {
	f := func(a Answer, status int, body string, headers map[string]string) {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.Bytes())), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status || string(got) != body || !res.Close || int(res.ContentLength) != len(body) {
			t.Errorf("%+v: status %d, body %q, close %v, length %d", a, res.StatusCode, got, res.Close, res.ContentLength)
		}
		for name, want := range headers {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%+v: %s = %q, want %q", a, name, got, want)
			}
		}
	}
	f(Answer{Status: 200, Mode: "normal", Active: 3, Capacity: 64}, 200, "CB_IS_OKAY", map[string]string{
		"X-Broker-Mode": "normal", "X-Broker-Active": "3", "X-Broker-Capacity": "64",
		"Content-Type": "text/plain", "Cache-Control": "no-store"})
	f(Answer{Status: 503, Mode: "leased,normal", Active: 64, Capacity: 64}, 503, "CB_IS_BUSY", map[string]string{
		"X-Broker-Mode": "leased,normal"})
	f(Answer{Status: 200, Mode: "a\r\nX: y", Active: -1, Capacity: -1}, 200, "CB_IS_OKAY", map[string]string{
		"X-Broker-Mode": "", "X-Broker-Active": "", "X": ""})
	if b := (Answer{}).Bytes(); b != nil {
		t.Errorf("status 0 gives %q", b)
	}
}

func TestCleanModeAndCount(t *testing.T) {
	for in, want := range map[string]string{
		"normal": "normal", " leased, normal ": "leased, normal", "NORMAL": "", "a\x1b[2J": "", strings.Repeat("a", 65): "",
	} {
		if got := CleanMode(in); got != want {
			t.Errorf("CleanMode(%q) = %q", in, got)
		}
	}
	for in, want := range map[string]int{"0": 0, " 12 ": 12, "-1": -1, "": -1, "1e3": -1, "99999999999999999999": -1, "4294967295": -1} {
		if got := Count(in); got != want {
			t.Errorf("Count(%q) = %d", in, got)
		}
	}
}
