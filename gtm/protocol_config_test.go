package gtm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchpoint/internal/covers"
)

func TestProtocolConfig(t *testing.T) {
	f := func(path, what string, change func(*Config)) {
		t.Helper()
		cfg := goodConfig()
		change(&cfg)
		wantProblem(t, cfg.Validate(), path, what)
	}
	f("nsid", "cannot be shown", func(c *Config) { c.NSID = "über" })
	f("nsid", "cannot be shown", func(c *Config) { c.NSID = strings.Repeat("n", 65) })
	f("version", "cannot be shown", func(c *Config) { c.Version = "1\n2" })
	f("rrl.rate", "-1 responses a second", func(c *Config) { c.RRL.Rate = -1 })
	f("rrl.rate", "is not possible", func(c *Config) { c.RRL.Rate = maxRate + 1 })
	f("rrl.slip", "11", func(c *Config) { c.RRL.Slip = 11 })
	f("rrl.exempt[1]", "no network", func(c *Config) { c.RRL.Exempt = []string{"10.0.0.0/8", "10.0.0.1/8"} })
	f("tcp.connections", "-5 connections", func(c *Config) { c.TCP.Connections = -5 })
	f("tcp.per_client", "20 connections", func(c *Config) { c.TCP = TCP{Connections: 10, PerClient: 20} })
	f("tcp.idle", "1ms", func(c *Config) { c.TCP.Idle = time.Millisecond })
	f("cookie_secret", "neither", func(c *Config) { c.CookieSecret = "000102030405060708090a0b0c0d0e0f" })

	cfg := goodConfig()
	cfg.CookieSecret = "file:" + filepath.Join(t.TempDir(), "none")
	_, err := Compile(cfg, anyRef)
	wantProblem(t, err, "cookie_secret", "no such file")
}

func TestProtocolDefaults(t *testing.T) {
	c := goodConfig().WithDefaults()
	if c.RRL.Rate != 200 || c.RRL.Slip != 2 || len(c.RRL.Exempt) == 0 || c.TCP != (TCP{1000, 100, 10 * time.Second}) {
		t.Errorf("%+v %+v", c.RRL, c.TCP)
	}
	if c := (Config{TCP: TCP{Connections: 10}}).WithDefaults(); c.TCP.PerClient != 10 {
		t.Errorf("with 10 connections in all: %+v", c.TCP)
	}
	nobody := goodConfig()
	nobody.RRL.Exempt = []string{}
	if got := compiled(t, nobody).settings().rrl; len(got.exempt) != 0 || got.interval != 5*time.Millisecond {
		t.Errorf("nobody exempt: %+v", got)
	}
	off := goodConfig()
	off.RRL.Off = true
	if got := compiled(t, off).settings().rrl; got.interval != 0 {
		t.Errorf("off: %+v", got)
	}
}

// TestNoAmplification: whatever a client with a forged address asks, the
// answer stays within what it says that it takes and 1232, and with the default settings a
// network gets no more than the rate.
func TestNoAmplification(t *testing.T) {
	covers.Req(t, "SE3")
	table := fuzzTable(t)
	l := newLimiter()
	sent, got := 0, 0
	seeds := seedQueries(t)[:4]
	for i := range 10_000 {
		for _, pkt := range seeds {
			wire, _ := respond(table, unprobed(table), request{
				packet: pkt, client: testClient, uptime: time.Hour + time.Duration(i)*100*time.Microsecond, limiter: l,
			}, nil)
			sent += len(pkt)
			got += len(wire)
		}
	}
	// One second, then: at most 200 at once and 200 by the rate of 1232 octets, and half of the
	// others as large as the question.
	if most := 400*udpSize + sent/2 + sent/10; got > most {
		t.Errorf("%d octets for %d, at most %d", got, sent, most)
	}
}

// TestSecretsStaySecret: neither a problem nor the reason of an answer shows a cookie secret.
func TestSecretsStaySecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cookies")
	if err := os.WriteFile(path, []byte("0123456789abcdef0123456789abcdeX\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := goodConfig()
	cfg.CookieSecret = "file:" + path
	if _, err := Compile(cfg, anyRef); err == nil || strings.Contains(err.Error(), "0123456789") {
		t.Errorf("%v", err)
	}
	cfg.CookieSecret = "0123456789abcdef0123456789abcdef"
	if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), "0123456789") {
		t.Errorf("%v", err)
	}
}
