package sites

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/problem"
)

func TestValidate(t *testing.T) {
	valid := func() Config {
		return Config{URLs: []string{"ldaps://dc1.company.com", "ldap://127.0.0.1:3389"}, BindDN: "svc@company.com", BindPassword: "file:/run/secret"}
	}
	if err := valid().Validate(); err != nil {
		t.Errorf("a valid section: %v", err)
	}
	if c := (Config{}).WithDefaults(); c.Timeout != 30*time.Second {
		t.Errorf("defaults: %v", c)
	}
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change     func(*Config)
		path, want string
	}{
		"no urls":        {func(c *Config) { c.URLs = nil }, "urls", "no urls"},
		"no LDAP":        {func(c *Config) { c.URLs[1] = "https://dc2" }, "urls[1]", "neither ldap:// nor ldaps://"},
		"password in it": {func(c *Config) { c.URLs[1] = "ldap://a:hunter2@dc2" }, "urls[1]", "more than scheme, host and port"},
		"plain":          {func(c *Config) { c.URLs[1] = "ldap://dc2.company.com" }, "urls[1]", "would send passwords over the network unencrypted"},
		"StartTLS":       {func(c *Config) { c.StartTLS = true }, "urls[0]", "start_tls cannot be used"},
		"anonymous":      {func(c *Config) { c.BindDN, c.BindPassword = "", "" }, "bind_dn", "shows its sites to nobody"},
		"no account":     {func(c *Config) { c.BindDN = "" }, "bind_dn", "a password without a bind_dn; name the account"},
		"no password":    {func(c *Config) { c.BindPassword = "" }, "bind_password", "no password for bind_dn"},
		"the password":   {func(c *Config) { c.BindPassword = "hunter2" }, "bind_password", "must not stand in the configuration"},
		"CA":             {func(c *Config) { c.CA = notPEM }, "ca", "no certificate in"},
		"no_verify":      {func(c *Config) { c.CA, c.NoVerify = notPEM, true }, "no_verify", "would not be used"},
		"time-out":       {func(c *Config) { c.Timeout = time.Hour }, "timeout", "1h0m0s is no time-out"},
	} {
		c := valid()
		tc.change(&c)
		var list problem.List
		if err := c.Validate(); !errors.As(err, &list) || list[0].Path != tc.path || !strings.Contains(list[0].Error(), tc.want) {
			t.Errorf("%s: %v, want %s: %s", name, err, tc.path, tc.want)
		} else if strings.Contains(err.Error(), "hunter2") || name != "no_verify" && len(list) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := New(Options{Config: &c}); err == nil {
			t.Errorf("%s: a watcher of it", name)
		}
	}
}

func TestReadNeedsItsPassword(t *testing.T) {
	c := Config{URLs: []string{"ldap://127.0.0.1:1"}, BindDN: "svc@company.com", BindPassword: "env:SITES_TEST_NOT_SET"}
	if _, err := Read(t.Context(), c); err == nil || !strings.Contains(err.Error(), "read bind_password") {
		t.Errorf("without the variable: %v", err)
	}
}
