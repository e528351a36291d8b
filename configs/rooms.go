package configs

import (
	"crypto/tls"
	"errors"
	"os"

	"switchpoint/gtm"
	"switchpoint/healthcheck"
	"switchpoint/internal/problem"
	"switchpoint/lb"
)

// checkRooms asks each room about its own section. A room whose section is sound is compiled
// as well, since only that opens its zone files and certificates; the table is thrown away.
func (c *Config) checkRooms(f *file) {
	ref := func(healthcheck.Key) healthcheck.Ref { return 0 }
	// The checks of gtm and lb are left out: what is wrong with them stands in their sections.
	health := healthcheck.Config{Settings: c.Health, Monitors: c.Monitors}
	err := health.Validate()
	if err == nil {
		_, err = healthcheck.Compile(health)
	}
	f.add("", err)
	if c.Peer != nil {
		f.add("peer", c.Peer.Validate())
	}
	if c.GTM != nil {
		err := c.GTM.Validate()
		if err == nil {
			_, err = gtm.Compile(*c.GTM, ref)
		}
		f.add("gtm", err)
	}
	if c.LB != nil {
		err := c.LB.Validate()
		if err == nil {
			_, err = lb.Compile(*c.LB, ref)
		}
		f.add("lb", err)
	}
	if c.Broker != nil {
		f.add("broker", c.Broker.Validate())
	}
	f.add("", c.checkFiles())
}

// checkFiles reads the certificates of the sections that have no Compile of their own.
func (c *Config) checkFiles() error {
	var l problem.List
	if c.Broker != nil {
		checkCertificate(&l, "broker", c.Broker.Cert, c.Broker.Key)
	}
	checkCertificate(&l, "admin", c.Admin.Cert, c.Admin.Key)
	if path := c.Admin.TokenFile; path != "" {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			l.Addf("admin.token_file", "make it, readable for this process alone", "%s cannot be read: %s", path, reason(err))
		case info.Mode().Perm()&0o004 != 0:
			l.Addf("admin.token_file", "chmod 600 "+path, "%s can be read by everybody on this machine", path)
		}
	}
	return l.Err()
}

func checkCertificate(l *problem.List, section, cert, key string) {
	if cert == "" || key == "" {
		return // the section itself asks for both or none
	}
	_, err := tls.LoadX509KeyPair(cert, key)
	var unreadable *os.PathError
	switch {
	case err == nil:
	case errors.As(err, &unreadable):
		at := "cert"
		if unreadable.Path == key {
			at = "key"
		}
		l.Addf(section+"."+at, "name a PEM file that this process may read", "%s cannot be read: %s", unreadable.Path, unreadable.Err)
	default:
		l.Addf(section+".cert", "name a certificate and its own key, both as PEM", "%s and %s are no pair: %s", cert, key, err)
	}
}
