package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Clusters are independent, but no two may manage the same machine: each would offer it to users
// of its own, and the second one would log off whom the first one sent there (TP3). So brokers
// tell other clusters which machines they manage, as fingerprints: who has the same machine in his
// own inventory recognises it, to others the list says no more than how many there are. (A pinned
// peer that guesses a name or an address can find out whether the guess is right.)

// Fingerprint stands for one machine: the first half of a SHA-256. Among a million machines two
// that share one by accident are less likely than 1 in 10^26.
type Fingerprint [16]byte

const (
	fingerprintSize = len(Fingerprint{})
	// resourcesPerPage fit into a body of 1 MiB, which is the most that peers exchange, also in
	// base64.
	resourcesPerPage = 1 << 15
	// maxResources is how many of another cluster are looked at; a cluster has 50,000 desktops.
	maxResources = 1 << 20
)

// resource is a desktop of the own inventory as others see it.
type resource struct {
	Fingerprint
	desktop, host string
}

// machineOf gives the one spelling of a host: names in lower case and without the dot at the end,
// addresses in their shortest form. It is empty for a loopback address, which is another machine
// on every broker. A machine that is written once by name and once by address has two.
func machineOf(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap().WithZone("")
		if a.IsLoopback() {
			return ""
		}
		return a.String()
	}
	if host == "localhost" {
		return ""
	}
	return host
}

// fingerprintOf hashes a machine under a prefix of its own, so that the value is of no use elsewhere.
func fingerprintOf(machine string) Fingerprint {
	sum := sha256.Sum256([]byte("switchpoint resource 1\x00" + machine))
	return Fingerprint(sum[:fingerprintSize])
}

// resourcesOf gives the desktops by fingerprint. Several desktops may stand on one machine.
func resourcesOf(desktops []Desktop) []resource {
	out := make([]resource, 0, len(desktops))
	for _, d := range desktops {
		if machine := machineOf(d.Host); machine != "" {
			out = append(out, resource{fingerprintOf(machine), d.Name, d.Host})
		}
	}
	slices.SortFunc(out, func(a, b resource) int {
		if c := bytes.Compare(a.Fingerprint[:], b.Fingerprint[:]); c != 0 {
			return c
		}
		return strings.Compare(a.desktop, b.desktop)
	})
	return out
}

// ResourceQuestion asks a broker of another cluster which machines it manages: one page.
type ResourceQuestion struct {
	// After is the last fingerprint of the page before; empty for the first page.
	After []byte `json:"after,omitempty"`
}

// ResourcePage is the answer.
type ResourcePage struct {
	// Fingerprints follow each other without anything between them, ascending, each once.
	Fingerprints []byte `json:"fingerprints"`
	// More says that there are others after the last one.
	More bool `json:"more,omitempty"`
}

var errResourceQuestion = fmt.Errorf("after has to be one fingerprint of %d bytes, or empty", fingerprintSize)

// pageOf answers q from the own resources with at most limit fingerprints.
func pageOf(own []resource, q ResourceQuestion, limit int) (ResourcePage, error) {
	if len(q.After) != 0 && len(q.After) != fingerprintSize {
		return ResourcePage{}, errResourceQuestion
	}
	at := 0
	if len(q.After) > 0 {
		at, _ = slices.BinarySearchFunc(own, q.After, func(r resource, after []byte) int {
			return cmpAfter(r.Fingerprint[:], after)
		})
	}
	p := ResourcePage{Fingerprints: []byte{}}
	for n := 0; at < len(own); at++ {
		if at > 0 && own[at].Fingerprint == own[at-1].Fingerprint {
			continue
		}
		if n == limit {
			p.More = true
			break
		}
		p.Fingerprints = append(p.Fingerprints, own[at].Fingerprint[:]...)
		n++
	}
	return p, nil
}

// cmpAfter orders so that a search finds the first one that is greater than after.
func cmpAfter(f, after []byte) int {
	if bytes.Compare(f, after) <= 0 {
		return -1
	}
	return 1
}

// read checks a page that a peer answered with to a question.
func (p ResourcePage) read(q ResourceQuestion) ([]Fingerprint, error) {
	if len(p.Fingerprints)%fingerprintSize != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of fingerprints", len(p.Fingerprints))
	}
	if p.More && len(p.Fingerprints) == 0 {
		return nil, errors.New("an empty page that says that there are more")
	}
	out := make([]Fingerprint, 0, len(p.Fingerprints)/fingerprintSize)
	last := q.After
	for f := range slices.Chunk(p.Fingerprints, fingerprintSize) {
		if len(last) > 0 && bytes.Compare(last, f) >= 0 {
			return nil, errors.New("the fingerprints do not ascend")
		}
		out = append(out, Fingerprint(f))
		last = f
	}
	return out, nil
}

// shared gives the own resources that theirs has too. Both ascend. It is pure.
func shared(own []resource, theirs []Fingerprint) []resource {
	var out []resource
	at := 0
	for _, r := range own {
		for at < len(theirs) && bytes.Compare(theirs[at][:], r.Fingerprint[:]) < 0 {
			at++
		}
		if at < len(theirs) && theirs[at] == r.Fingerprint {
			out = append(out, r)
		}
	}
	return out
}

// ResourceConflict is a desktop whose machine another cluster manages too.
type ResourceConflict struct {
	Desktop string `json:"desktop"` // its name here
	Host    string `json:"host"`
	Cluster string `json:"cluster"` // the other one
}

// String reads as a sentence.
func (c ResourceConflict) String() string {
	return fmt.Sprintf("desktop %s (%s) is in cluster %s too: remove it from one of them", c.Desktop, c.Host, c.Cluster)
}

// conflictsChanged compares what two rounds found in one cluster: what is new, and what has gone.
func conflictsChanged(old, cur []ResourceConflict) (added, gone []ResourceConflict) {
	known := make(map[ResourceConflict]bool, len(old))
	for _, c := range old {
		known[c] = true
	}
	for _, c := range cur {
		if !known[c] {
			added = append(added, c)
		}
		delete(known, c)
	}
	for _, c := range old {
		if known[c] {
			gone = append(gone, c)
		}
	}
	return added, gone
}
