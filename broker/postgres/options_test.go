package postgres

import (
	"strings"
	"testing"
	"time"

	"switchpoint/broker"
	"switchpoint/internal/realserver"
)

func TestOptions(t *testing.T) {
	const good = "postgres://user:geheim@h1,h2:5433/db"
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGPASSWORD", "other")
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGOPTIONS", "-c search_path=evil")
	t.Setenv("PGCONNECT_TIMEOUT", "77")
	for name, tc := range map[string]struct {
		o    Options
		want []string // parts of the message; none: it is right
	}{
		"good":        {o: Options{URL: good}},
		"socket":      {o: Options{URL: "postgres://user@/db?host=/run/postgresql"}},
		"tls":         {o: Options{URL: good + "?sslmode=require"}},
		"empty":       {Options{}, []string{"url: ", "not with postgres://"}},
		"no url":      {Options{URL: "postgres://user:geheim@h:port/db"}, []string{"url: it is no URL"}},
		"scheme":      {Options{URL: "mysql://user@h/db"}, []string{`"mysql"`}},
		"no server":   {Options{URL: "postgres://user@/db"}, []string{"no server"}},
		"no user":     {Options{URL: "postgres://h/db"}, []string{"no user"}},
		"no database": {Options{URL: "postgres://user@h"}, []string{"no database"}},
		"weak":        {Options{URL: good + "?sslmode=prefer"}, []string{"prefer"}},
		"unknown":     {Options{URL: good + "?statement_timeout=1"}, []string{"statement_timeout"}},
		"no ca file":  {Options{URL: good + "?sslrootcert=/does/not/exist"}, []string{"/does/not/exist"}},
		"numbers":     {Options{URL: good, MaxConns: 1, QueryTimeout: -1, ConnectTimeout: time.Hour}, []string{"max_conns", "query_timeout", "connect_timeout"}},
	} {
		err := tc.o.Validate()
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, part := range tc.want {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", name, err, part)
			}
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the message has the password: %s", name, err)
		}
	}
	c, err := Options{URL: good}.config()
	if err != nil {
		t.Fatal(err)
	}
	cc := c.ConnConfig
	if cc.Host != "h1" || cc.Port != 5432 || len(cc.Fallbacks) != 1 || cc.Fallbacks[0].Host != "h2" || cc.Fallbacks[0].Port != 5433 {
		t.Errorf("servers: %s:%d, %+v", cc.Host, cc.Port, cc.Fallbacks)
	}
	if cc.Password != "geheim" || cc.TLSConfig == nil || cc.TLSConfig.ServerName != "h1" || cc.TLSConfig.InsecureSkipVerify || len(cc.RuntimeParams) != 1 ||
		cc.ConnectTimeout != defaultConnectTimeout {
		t.Errorf("config %+v", cc.Config)
	}
	if c, err = (Options{URL: "postgres://user@h/db", Password: "p"}).config(); err != nil || c.ConnConfig.Password != "p" {
		t.Errorf("password %q: %v", c.ConnConfig.Password, err)
	}
	if c, err = (Options{URL: "postgres://user@h/db"}).config(); err != nil || c.ConnConfig.Password != "" {
		t.Errorf("a password out of the environment: %q, %v", c.ConnConfig.Password, err)
	}
}

// TestTLS: the server's certificate is checked unless the URL says otherwise.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := realserver.Postgres(t, realserver.PostgresOptions{TLS: true})
	bare, _, _ := strings.Cut(server.DSN, "?")
	if s, err := Open(t.Context(), Options{URL: bare}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody was taken: %v", err)
		if err == nil {
			s.Close()
		}
	}
	s := open(t, Options{URL: bare + "?sslrootcert=" + server.CAFile})
	if n := count(t, s, `SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl`); n != 1 {
		t.Error("the connection is plain")
	}
}

// anyText stores what a client may send and the server does not take as it is.
func anyText(t *testing.T, d *databases) {
	s := open(t, Options{URL: d.fresh(t, d.DSN)})
	row := broker.LogRow{ID: newID(), Ref: "r", ClientName: "a\x00b\xff", Reason: []string{"c\x00"}}
	if err := s.AppendLog(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LogByRef(t.Context(), "r"); err != nil || got.ClientName != "a\uFFFDb\uFFFD" || got.Reason[0] != "c\uFFFD" {
		t.Errorf("%+v, %v", got, err)
	}
	if yes, err := s.Assigned(t.Context(), "local", "a\x00"); err != nil || yes {
		t.Error(yes, err)
	}
}
