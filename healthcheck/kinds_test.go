package healthcheck

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/problem"
)

// sound gives a monitor of each kind that needs nothing else.
func sound(kind string) Monitor {
	m := quick(kind)
	switch kind {
	case "dns":
		m.Query = "cb.company.com A"
	case "postgres":
		m.User = "probe"
	case "exec":
		m.Command = []string{"/bin/true"}
	}
	return m
}

func TestEveryKindCompiles(t *testing.T) {
	for _, kind := range kinds {
		if _, err := Compile(Config{Monitors: []Monitor{sound(kind)}, Settings: Settings{AllowExec: true}}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Each key of the table is refused for each kind that has no use for it, by its name and with
// the kinds that have; no key of the table is misspelled.
func TestKeysOfKinds(t *testing.T) {
	typ := reflect.TypeFor[Monitor]()
	found := 0
	for i := range typ.NumField() {
		key := typ.Field(i).Tag.Get("toml")
		allowed, some := keyKinds[key]
		if !some {
			continue
		}
		found++
		for _, kind := range kinds {
			m := sound(kind)
			v := reflect.ValueOf(&m).Elem().Field(i)
			switch v.Kind() {
			case reflect.String:
				v.SetString("x")
			case reflect.Int, reflect.Int64:
				v.SetInt(1)
			case reflect.Bool:
				v.SetBool(true)
			case reflect.Slice:
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			var l problem.List
			errors.As(m.Validate(), &l)
			refused := slices.ContainsFunc(l, func(p problem.Problem) bool {
				return p.Path == key && strings.HasPrefix(p.What, key+" is not for kind "+kind) && strings.HasPrefix(p.Cure, "remove it or use kind ")
			})
			if refused == slices.Contains(allowed, kind) {
				t.Errorf("%s under kind %s: refused = %v", key, kind, refused)
			}
		}
	}
	if found != len(keyKinds) {
		t.Errorf("%d of %d keys of the table are keys of a monitor", found, len(keyKinds))
	}
}

func TestValidateKinds(t *testing.T) {
	f := func(kind string, change func(*Monitor), want ...string) {
		t.Helper()
		m := sound(kind)
		change(&m)
		var l problem.List
		errors.As(m.Validate(), &l)
		got := make([]string, len(l))
		for i, p := range l {
			got[i] = p.Path + ": " + p.What
			if p.Cure == "" {
				t.Errorf("%s has no cure", got[i])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f("tcp", func(m *Monitor) { m.Port = 70000 }, "port: 70000 is no port")
	f("tls", func(m *Monitor) { m.MinValidity = -time.Hour }, "min_validity: -1h0m0s is negative")
	f("dns", func(m *Monitor) { m.Query = "" }, `query: "" is no question of the form NAME TYPE`)
	f("dns", func(m *Monitor) { m.Receive = "regex:(" }, "receive: the regular expression \"(\" is wrong: error parsing regexp: missing closing ): `(`")

	f("ldap", func(m *Monitor) { m.BindDN, m.BindPassword, m.BaseDN = `CORP\probe`, "env:X", "dc=company,dc=com" })
	f("ldap", func(m *Monitor) { m.Filter = "(uid=" }, `filter: "(uid=" is no LDAP filter: ldap: unexpected end of filter`)
	f("ldap", func(m *Monitor) { m.BaseDN = "company" }, `base_dn: "company" is no DN: DN ended with incomplete type, value pair`)
	f("ldap", func(m *Monitor) { m.BindDN = "cn=probe" }, "bind_password: no password for bind_dn")
	f("ldap", func(m *Monitor) { m.BindPassword = "env:X" }, "bind_dn: a password but nobody who binds")
	f("ldap", func(m *Monitor) { m.BindDN, m.BindPassword = "cn=probe", "hunter2" }, "bind_password: a password must not stand in the configuration")
	f("ldap", func(m *Monitor) { m.TLS, m.StartTLS = true, true }, "start_tls: tls is encrypted from the first byte and start_tls begins in the clear")
	f("ldap", func(m *Monitor) { m.CA, m.ServerName = "x", "y" }, "ca: no certificate is verified that it could be for", "server_name: no certificate is verified that it could be for")

	f("postgres", func(m *Monitor) { m.User = "" }, "user: nobody to sign in as")
	f("postgres", func(m *Monitor) { m.Password = "hunter2" }, "password: a password must not stand in the configuration")
	f("postgres", func(m *Monitor) { m.SSLMode = "prefer" }, `sslmode: the sslmode "prefer" is not known here`)
	f("postgres", func(m *Monitor) { m.SSLMode, m.CA = "require", "x" }, "ca: no certificate is verified that it could be for")
	f("postgres", func(m *Monitor) { m.Role = "leader" }, `role: the role "leader" does not exist`)
	f("postgres", func(m *Monitor) { m.MaxLag = "1MB" }, "max_lag: only a replica lags")
	f("postgres", func(m *Monitor) { m.Role, m.MaxLag = "replica", "1" }, `max_lag: "1" has no unit`)

	f("xmlrpc", func(m *Monitor) { m.Path = "RPC2" }, `path: "RPC2" is no path of a request`)
	f("xmlrpc", func(m *Monitor) { m.Path = "/a b\r\nX: y" }, `path: "/a b\r\nX: y" is no path of a request`)
	f("xmlrpc", func(m *Monitor) { m.Method = "<a>" }, `method: "<a>" is no name of an XML-RPC method`)
	f("xmlrpc", func(m *Monitor) { m.NoVerify = true }, "no_verify: no certificate is verified that it could be for")
	f("xmlrpc", func(m *Monitor) { m.ServerName = "cb" }) // the Host line
	f("xmlrpc", func(m *Monitor) { m.Headers = []string{"A"} }, `headers[0]: "A" does not begin with a header name and a colon`)

	f("exec", func(m *Monitor) { m.Command = nil }, "command: there is no program to run")
	f("exec", func(m *Monitor) { m.Command = []string{"check", "a\x00b"} },
		`command: "check" would be looked for in the folder or PATH of the process`, "command[1]: no argument of a program can hold a NUL byte")
}

func TestKindDefaults(t *testing.T) {
	ldap, pg, rpc := Monitor{Kind: "ldap"}.WithDefaults(), Monitor{Kind: "postgres"}.WithDefaults(), Monitor{Kind: "xmlrpc"}.WithDefaults()
	if ldap.Filter != "(objectClass=*)" || pg.Database != "postgres" || pg.SSLMode != "verify-full" || pg.Role != "any" || rpc.Path != "/RPC2" || rpc.Method != "broker.isAlive" {
		t.Errorf("%+v\n%+v\n%+v", ldap, pg, rpc)
	}
	if icmp := (Monitor{Kind: "icmp"}).WithDefaults(); icmp.Filter != "" || icmp.Path != "" || icmp.Send != "" {
		t.Errorf("%+v", icmp)
	}
}
