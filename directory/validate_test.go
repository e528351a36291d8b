package directory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/problem"
)

func TestValidate(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := Config{Name: "corp", Servers: []string{"ldaps://dc1.company.com"}, BaseDN: "dc=company,dc=com",
		BindDN: "cn=switchpoint,dc=company,dc=com", BindPassword: "env:X"}
	if err := good.Validate(); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct {
		change     func(*Config)
		path, what string
	}{
		{func(c *Config) { c.Name = "" }, "name", "no name"},
		{func(c *Config) { c.Servers = nil }, "servers", "no servers"},
		{func(c *Config) { c.Servers = append(c.Servers, "dc2") }, "servers[1]", "neither"},
		{func(c *Config) { c.Servers[0] = "ldap://dc1.company.com" }, "servers[0]", "unencrypted"},
		{func(c *Config) { c.Servers[0] = "ldaps://" }, "servers[0]", "has no host"},
		{func(c *Config) { c.Servers[0] = "ldaps://h:99999" }, "servers[0]", "no port"},
		{func(c *Config) { c.Servers[0] = "ldaps://h/dc=x" }, "servers[0]", "more than"},
		{func(c *Config) { c.StartTLS = true }, "servers[0]", "encrypted from the start"},
		{func(c *Config) { c.BaseDN = "" }, "base_dn", "no base_dn"},
		{func(c *Config) { c.BaseDN = "company" }, "base_dn", "is no DN"},
		{func(c *Config) { c.BindDN = "" }, "bind_dn", "without a bind_dn"},
		{func(c *Config) { c.BindPassword = "" }, "bind_password", "no password"},
		{func(c *Config) { c.BindPassword = "hunter2" }, "bind_password", "must not stand"},
		{func(c *Config) { c.Servers[0] = "https://u:hunter2@dc1" }, "servers[0]", "more than scheme"},
		{func(c *Config) { c.Servers[0] = "ldaps://u:hunter2@dc1:x y" }, "servers[0]", "more than scheme"},
		{func(c *Config) { c.UserFilter = "(uid=x)" }, "user_filter", "same entry"},
		{func(c *Config) { c.UserFilter = "(uid={user}" }, "user_filter", "is no filter"},
		{func(c *Config) { c.ServerOrder = "random" }, "server_order", "random"},
		{func(c *Config) { c.Groups = "all" }, "groups", "all"},
		{func(c *Config) { c.GroupBase = "groups" }, "group_base", "is no DN"},
		{func(c *Config) { c.Referrals = []string{"dc9"} }, "referrals[0]", "neither"},
		{func(c *Config) { c.Referrals = []string{"ldap://dc9.company.com"} }, "referrals[0]", "unencrypted"},
		{func(c *Config) { c.Referrals = []string{"ldaps+srv://company.com"} }, "referrals[0]", "is no server"},
		{func(c *Config) { c.Referrals = []string{"ldaps://a:1", "ldaps://A:2"} }, "referrals[1]", "twice"},
		{func(c *Config) { c.Servers[0] = "ldap+srv://company.com" }, "servers[0]", "unencrypted"},
		{func(c *Config) { c.Servers[0], c.StartTLS = "ldaps+srv://company.com", true }, "servers[0]", "encrypted from the start"},
		{func(c *Config) { c.Servers[0] = "ldaps+srv://u:hunter2@company.com" }, "servers[0]", "names no DNS domain"},
		{func(c *Config) { c.Timeout = time.Millisecond }, "timeout", "1ms"},
		{func(c *Config) { c.MaxConns = -1 }, "max_conns", "-1"},
		{func(c *Config) { c.CA = "/no/such/file" }, "ca", "no such file"},
		{func(c *Config) { c.CA = junk }, "ca", "no certificate"},
		{func(c *Config) { c.CA, c.NoVerify = junk, true }, "no_verify", "would not be used"},
	} {
		cfg := good
		cfg.Servers = append([]string{}, good.Servers...)
		c.change(&cfg)
		list, _ := cfg.Validate().(problem.List)
		found := false
		for _, p := range list {
			found = found || p.Path == c.path && strings.Contains(p.What, c.what) && p.Cure != ""
		}
		if !found {
			t.Errorf("got %v, want a problem at %s that says %q", list, c.path, c.what)
		}
		if strings.Contains(list.Error(), "hunter2") {
			t.Error("a password is shown")
		}
	}
	for _, s := range []string{"ldap://127.0.0.1:389", "ldap://[::1]", "ldap://localhost"} {
		cfg := good
		cfg.Servers = []string{s}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	found := good
	found.Servers, found.Referrals, found.ServerOrder, found.Groups = []string{"ldaps+srv://company.com", "ldaps://dc9"}, []string{"ldaps://dc8"}, RoundRobin, GroupsNested
	if err := found.Validate(); err != nil || len(found.Addresses()) != 1 {
		t.Errorf("%v, %q", err, found.Addresses())
	}
	plain := good
	plain.Servers, plain.AllowPlain = []string{"ldap://dc1"}, true
	if err := plain.Validate(); err != nil {
		t.Errorf("allow_plain: %v", err)
	}
}
