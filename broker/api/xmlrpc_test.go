package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/healthcheck"
	"switchpoint/internal/covers"
)

const adminToken = "a-token-for-the-admin-only"

// rpcCall posts a body to /RPC2.
func (s *site) rpcCall(t *testing.T, body string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/RPC2", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml")
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func rpcBody(method string) string {
	return `<?xml version="1.0"?><methodCall><methodName>` + method + `</methodName><params/></methodCall>`
}

// TestXMLRPC: two methods for everybody, the others for the admin; what is wrong is a fault.
func TestXMLRPC(t *testing.T) {
	t.Parallel()
	s := start(t, config{adminToken: adminToken})
	s.fill(t, localSetup(t))
	admin := map[string]string{"Authorization": "Bearer " + adminToken}
	for _, c := range []struct {
		name, body string
		header     map[string]string
		status     int
		want       []string
	}{
		{"alive", rpcBody("broker.isAlive"), nil, 200, []string{"<methodResponse><params><param><value><string>CB_IS_OKAY</string></value></param></params></methodResponse>"}},
		{"methods", rpcBody("system.listMethods"), nil, 200, []string{"<array><data><value><string>broker.isAlive</string>", "broker.status", "cluster.list", "system.listMethods"}},
		{"without params", `<methodCall><methodName>broker.isAlive</methodName></methodCall>`, nil, 200, []string{"CB_IS_OKAY"}},
		{"status", rpcBody("broker.status"), admin, 200, []string{"<name>name</name><value><string>broker-1</string></value>", "<name>site_id</name><value><int>1</int></value>", "<name>alive</name><value><boolean>1</boolean></value>", "<name>booted</name><value><dateTime.iso8601>20"}},
		{"cluster", rpcBody("cluster.list"), admin, 200, []string{"<name>name</name><value><string>broker-1</string></value>", "<name>status</name>", "<name>live</name><value><boolean>1</boolean>"}},
		{"no token", rpcBody("broker.status"), nil, 401, []string{"<int>401</int>", "bearer token"}},
		{"wrong token", rpcBody("cluster.list"), bearer(adminToken + "x"), 401, []string{"<int>401</int>"}},
		{"unknown method", rpcBody("broker.&lt;b&gt;"), nil, 200, []string{"<int>-32601</int>", "broker.&lt;b&gt;"}},
		{"parameters", `<methodCall><methodName>broker.isAlive</methodName><params><param><value><int>1</int></value></param></params></methodCall>`, nil, 200, []string{"<int>-32602</int>"}},
		{"no XML", `{"method":"broker.isAlive"}`, nil, 200, []string{"<fault>", "<int>-32600</int>"}},
		{"half of it", `<methodCall><methodName>broker.isAlive`, nil, 200, []string{"<int>-32700</int>"}},
		{"nothing", "", nil, 200, []string{"<int>-32600</int>"}},
		{"another document", `<html/>`, nil, 200, []string{"<int>-32600</int>"}},
		{"entities", `<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>`, nil, 200, []string{"<fault>"}},
		{"deep", rpcBody("a") + strings.Repeat("<a>", 100), nil, 200, []string{"<int>-32600</int>"}},
		{"deep value", `<methodCall><methodName>a</methodName><params><param><value>` + strings.Repeat("<array>", 100), nil, 200, []string{"<int>-32600</int>", "32 deep"}},
		{"many", `<methodCall><methodName>a</methodName><params>` + strings.Repeat("<param/>", 1001), nil, 200, []string{"<int>-32600</int>", "1000 elements"}},
		{"large", `<methodCall><methodName>a</methodName>` + strings.Repeat(" ", 1<<20), nil, 200, []string{"<int>-32600</int>", "larger than"}},
		{"long name", rpcBody(strings.Repeat("a", 200)), nil, 200, []string{"<int>-32600</int>"}},
		{"two calls", rpcBody("a") + `<methodCall/>`, nil, 200, []string{"<int>-32600</int>"}},
		{"a form", rpcBody("broker.isAlive"), map[string]string{"Content-Type": "text/plain"}, 415, []string{"<fault>"}},
	} {
		status, text := s.rpcCall(t, c.body, c.header)
		ok := status == c.status && strings.HasPrefix(text, `<?xml version="1.0" encoding="UTF-8"?>`)
		for _, w := range c.want {
			ok = ok && strings.Contains(text, w)
		}
		if !ok {
			t.Errorf("%s: %d %s", c.name, status, text)
		}
	}
	// Without a token file nobody is the admin, whatever he sends.
	none := start(t, config{})
	if status, text := none.rpcCall(t, rpcBody("broker.status"), bearer("")); status != 401 {
		t.Errorf("without a token: %d %s", status, text)
	}
}

// broken is a store that can be made not to answer.
type broken struct {
	broker.Store
	down atomic.Bool
}

func (b *broken) SetupVersion(ctx context.Context) (int64, error) {
	if b.down.Load() {
		return 0, broker.ErrUnavailable
	}
	return b.Store.SetupVersion(ctx)
}

// TestWholeBackEnd: CB_IS_OKAY means broker and back end, on the page and over XML-RPC, as a balancer
// and as our own monitor of kind xmlrpc see it.
func TestWholeBackEnd(t *testing.T) {
	covers.Req(t, "AL2")
	t.Parallel()
	store := &broken{}
	s := start(t, config{wrap: func(whole broker.Store) broker.Store { store.Store = whole; return store }, config: broker.Config{IsAlive: broker.AliveBackend}})
	monitor := healthcheck.Monitor{Name: "rpc", Kind: "xmlrpc", Method: "broker.isAlive", Path: "/RPC2", TLS: true, NoVerify: true, Receive: "CB_IS_OKAY", Timeout: 5 * time.Second, Interval: 6 * time.Second}.WithDefaults()
	up := demoDirectory(t)
	expect := func(what string, directories []broker.Directory, down bool, alive bool) {
		t.Helper()
		setup := localSetup(t)
		setup.Directories = directories
		s.fill(t, setup)
		store.down.Store(down)
		defer store.down.Store(false)
		page, rpc, probe := "", "", healthcheck.Result{}
		right := func() bool {
			page = s.raw(t, "GET /index.pl?action=is_alive\r\n", true)
			_, rpc = s.rpcCall(t, rpcBody("broker.isAlive"), nil)
			probe = healthcheck.Probe(t.Context(), monitor, s.Addr().String(), healthcheck.Settings{})
			if alive {
				return strings.Contains(page, "CB_IS_OKAY") && strings.Contains(rpc, "CB_IS_OKAY") && probe.State == healthcheck.Up
			}
			return !strings.Contains(page+rpc, "CB_IS_OKAY") && strings.Contains(rpc, "<fault>") && probe.State == healthcheck.Overloaded
		}
		for deadline := time.Now().Add(15 * time.Second); !right(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %q, %q, %s (%s)", what, page, rpc, probe.State, probe.Reason)
			}
		}
	}
	expect("all on line", []broker.Directory{up}, false, true)
	expect("one directory down", []broker.Directory{up, downDirectory(t)}, false, false)
	expect("all back", []broker.Directory{up}, false, true)
	expect("the database down", []broker.Directory{up}, true, false)
	expect("the database back", []broker.Directory{up}, false, true)
}
