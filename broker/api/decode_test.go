package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"switchpoint/broker/agent"
)

func FuzzDecodeLogin(f *testing.F) {
	f.Add([]byte(`{"user":"anna","password":"p","directory":"corp","client":{"name":"tc","version":"1"}}`))
	f.Add([]byte(`{"user":"anna"}{"user":"bert"}`))
	f.Add([]byte(`{"user":null,"password":[]}`))
	f.Add([]byte(`[[[[[[[[`))
	f.Add([]byte("user=anna"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var in LoginRequest
		err := decodeBody(strings.NewReader(string(body)), &in)
		if err != nil && (err.status != 400 || err.text == "") {
			t.Errorf("%q: %+v", body, err)
		}
		if err == nil && !json.Valid(body) {
			t.Errorf("%q is no JSON and was accepted", body)
		}
		if err != nil && len(in.Password) > 8 && strings.Contains(err.text, in.Password) {
			t.Errorf("the fault repeats the password: %s", err.text)
		}
	})
}

func FuzzForwarded(f *testing.F) {
	f.Add("127.0.0.1:5", "198.51.100.1, 203.0.113.9")
	f.Add("[::1]:5", "fe80::1%eth0")
	f.Add("pipe", ",,,")
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, remote, header string) {
		got := forwarded(remote, []string{header}, trusted)
		if _, err := netip.ParseAddr(got); got != "" && err != nil {
			t.Errorf("%q, %q gave %q", remote, header, got)
		}
	})
}

func FuzzDecodeHeartbeat(f *testing.F) {
	f.Add([]byte(`{"version":"1.0","load":0.5,"sessions":[{"user":"CORP\\anna","state":"active"}]}`))
	f.Add([]byte(`{"load":1e308,"sessions":null,"later":{}}`))
	f.Add([]byte(`{"sessions":[{"user":"\u0000","state":"active"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, agent.PathHeartbeat, strings.NewReader(string(body)))
		report, err := decodeHeartbeat(r)
		if err != nil {
			if err.status != 400 || err.text == "" {
				t.Errorf("%q: %+v", body, err)
			}
			return
		}
		if len(report.Sessions) > agent.MaxSessions || report.Load < 0 || len(report.Users()) != len(report.Sessions) {
			t.Errorf("%q: %+v", body, report)
		}
	})
}
