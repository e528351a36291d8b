package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxRecords bounds how many servers the DNS may name for one entry of servers.
	maxRecords = 64
	// ldapsPort is used where the DNS has records for LDAP only: Active Directory has no others.
	ldapsPort = 636
)

// srvName is a domain whose servers the DNS names (RFC 2782).
type srvName struct {
	name   string // behind _ldap._tcp.
	domain string // in which the servers must stand
	secure bool   // ldaps
}

// parseSRV takes ldap+srv://DOMAIN and ldaps+srv://DOMAIN apart; is says that raw has that form.
func parseSRV(raw string) (n srvName, is bool, err error) {
	scheme, name, found := strings.Cut(raw, "://")
	if !found || scheme != "ldap+srv" && scheme != "ldaps+srv" {
		return srvName{}, false, nil
	}
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSuffix(name, "/")), ".")
	if name == "" || len(name) > 240 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || strings.Contains(name, "..") || name[0] == '.' {
		return srvName{}, true, errNoDomain // not shown: a password may stand in it
	}
	n = srvName{name: name, domain: name, secure: scheme == "ldaps+srv"}
	// Of a site's name such as Prague._sites.dc._msdcs.company.com, what stands behind the last
	// label of its kind is the domain.
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if strings.HasPrefix(label, "_") {
			n.domain = strings.Join(labels[i+1:], ".")
		}
	}
	if n.domain == "" {
		return srvName{}, true, errNoDomain
	}
	return n, true, nil
}

var errNoDomain = errors.New("the URL names no DNS domain")

// endpoint is a server as it is known from the configuration or the DNS.
type endpoint struct {
	url   string
	place place
}

// lookup asks the DNS for the servers of n. Verified says that only the name which the DNS gives
// will be verified in certificates: then servers outside the domain are left out, because whoever
// can forge an answer of the DNS may well have a certificate for a name of his own.
func (n srvName) lookup(ctx context.Context, r *net.Resolver, verified bool) (out []endpoint, outside []string, err error) {
	scheme, port := "ldap", 0
	records, err := n.query(ctx, r, n.secure)
	if n.secure {
		scheme = "ldaps"
		if gone, ok := errors.AsType[*net.DNSError](err); ok && gone.IsNotFound || err == nil && len(records) == 0 {
			port = ldapsPort
			records, err = n.query(ctx, r, false)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	for _, rec := range records[:min(len(records), maxRecords)] {
		host := strings.ToLower(strings.TrimSuffix(rec.Target, "."))
		switch {
		case host == "": // "no such service here" (RFC 2782)
			continue
		case verified && host != n.domain && !strings.HasSuffix(host, "."+n.domain):
			outside = append(outside, host)
			continue
		}
		at := cmp.Or(port, int(rec.Port))
		out = append(out, endpoint{scheme + "://" + net.JoinHostPort(host, strconv.Itoa(at)), place{int(rec.Priority), int(rec.Weight)}})
	}
	if len(out) == 0 {
		return nil, outside, fmt.Errorf("the DNS names no server for %s", n.name)
	}
	// Always in one order: that of the answer is drawn by weight, for clients that take the first.
	slices.SortFunc(out, func(a, b endpoint) int {
		return cmp.Or(a.place.priority-b.place.priority, b.place.weight-a.place.weight, strings.Compare(a.url, b.url))
	})
	return slices.Compact(out), outside, nil
}

// query returns what can be used of an answer: records that are no names are left out.
func (n srvName) query(ctx context.Context, r *net.Resolver, secure bool) ([]*net.SRV, error) {
	service := "ldap"
	if secure {
		service = "ldaps"
	}
	_, records, err := r.LookupSRV(ctx, service, "tcp", n.name)
	if len(records) > 0 {
		return records, nil
	}
	return nil, err
}
