package agent

import (
	"net/netip"
	"net/url"

	"switchpoint/internal/problem"
	"switchpoint/internal/secret"
)

// Config is the file of an agent.
type Config struct {
	// Brokers are URLs such as "https://cb.company.com". A name with several addresses is as good as
	// several names.
	Brokers []string `toml:"brokers"`
	CA      string   `toml:"ca"`      // PEM roots to trust; default the system's
	Desktop string   `toml:"desktop"` // what the inventory calls it; default the host name
	// Token lets the agent enrol: "file:PATH" or "env:NAME". It is not needed once it has a key.
	Token    string `toml:"token"`
	StateDir string `toml:"state_dir"` // where the key is kept
	Address  string `toml:"address"`   // of the desktop, to report; default the connection's
	// ResetCommand brings the desktop back to its clean state and ends with status 0, or restarts it.
	ResetCommand []string `toml:"reset_command"`
	// CleanBoot says that every start of the machine is from a clean image: a reset that was asked for
	// before it started is done.
	CleanBoot bool `toml:"clean_boot"`
}

// Validate reports every problem.
func (c Config) Validate() error {
	var l problem.List
	if len(c.Brokers) == 0 {
		l.Addf("brokers", `write e.g. brokers = ["https://cb.company.com"]`, "no broker is named")
	}
	for i, b := range c.Brokers {
		if _, err := baseURL(b); err != nil {
			l.Addf("brokers["+itoa(i)+"]", `write "https://HOST" or "https://HOST:PORT"`, "%v", err)
		}
	}
	if c.StateDir == "" {
		l.Addf("state_dir", "name a directory that only the agent can read", "there is no place for the key")
	}
	if c.Token != "" {
		if err := secret.Check(c.Token); err != nil {
			l.Addf("token", `write the token to a file and name it "file:PATH", or use "env:NAME"`, "a token must not stand in the configuration")
		}
	}
	if c.Address != "" {
		if _, err := netip.ParseAddr(c.Address); err != nil {
			l.Addf("address", "leave it out for that of the connection", "%q is no address", c.Address)
		}
	}
	return l.Err()
}

// baseURL reads the URL of a broker. Plain HTTP is for loopback addresses only: the key would cross the
// network for everybody to read.
func baseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errURL
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback(u.Hostname()):
	default:
		return nil, errPlain
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
