package peer

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"switchpoint/internal/problem"
)

// key is a public key as a map key.
type key [ed25519.PublicKeySize]byte

// Table is a compiled trust list. It never changes.
type Table struct {
	order  []Trust
	byName map[string]pinned
	byKey  map[key]Trust
}

type pinned struct {
	Trust
	key key
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var probs problem.List
	if c.Listen != "" {
		if _, err := netip.ParseAddrPort(c.Listen); err != nil {
			probs.Addf("listen", `write ip:port, e.g. listen = "10.1.0.5:7443"`, "%q is not ip:port", c.Listen)
		}
	}
	names, keys := map[string]int{}, map[key]int{}
	for i, t := range c.Trust {
		path := fmt.Sprintf("trust[%d]", i)
		if t.Name == "" || strings.ContainsFunc(t.Name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			probs.Addf(path+".name", "give the peer a name without spaces", "%q is no name", t.Name)
		} else if first, twice := names[t.Name]; twice {
			probs.Addf(path+".name", "give every peer its own name", "%q is also the name of trust[%d]", t.Name, first)
		}
		names[t.Name] = i
		k, err := parseKey(t.Key)
		if err != nil {
			probs.Addf(path+".key", "copy what `switchpoint peer key` prints on that node", "%s", err)
		} else if first, twice := keys[k]; twice {
			probs.Addf(path+".key", "every node has its own key: copy that of this one", "the same key as trust[%d]", first)
		} else {
			keys[k] = i
		}
		if t.Address != "" && !validAddress(t.Address) {
			probs.Addf(path+".address", `write host:port of its [peer] listen, e.g. "10.1.0.6:7443"`, "%q is not host:port", t.Address)
		}
	}
	return probs.Err()
}

func parseKey(s string) (key, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	switch {
	case s == "":
		return key{}, errors.New("no key")
	case err != nil || len(b) != ed25519.PublicKeySize:
		return key{}, fmt.Errorf("%q is not the base64 of an Ed25519 public key (%d bytes)", s, ed25519.PublicKeySize)
	}
	return key(b), nil
}

func validAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	n, errPort := strconv.ParseUint(port, 10, 16)
	return err == nil && errPort == nil && host != "" && n > 0
}

// Compile makes the table. own is this node's public key: its entry is left out, so that all
// nodes may share one list.
func Compile(c Config, own string) (*Table, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t := &Table{byName: make(map[string]pinned), byKey: make(map[key]Trust)}
	for _, trust := range c.Trust {
		if trust.Key == own {
			continue
		}
		k, err := parseKey(trust.Key)
		if err != nil {
			return nil, err
		}
		t.order = append(t.order, trust)
		t.byName[trust.Name] = pinned{trust, k}
		t.byKey[k] = trust
	}
	return t, nil
}

// Peers gives the names of the trusted peers of a cluster that can be called, in their order.
func (t *Table) Peers(cluster string) []string {
	var names []string
	for _, trust := range t.order {
		if trust.Cluster == cluster && trust.Address != "" {
			names = append(names, trust.Name)
		}
	}
	return names
}
