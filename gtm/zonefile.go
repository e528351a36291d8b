package gtm

import (
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/miekg/dns"
)

// Bounds of one zone: a file is refused above them before it takes the memory of the process.
const (
	maxZoneBytes   = 1 << 30
	maxZoneRecords = 4_000_000 // some 1 GB
	maxSetRecords  = 4096      // more records of 16 octets do not fit into one message
)

// readZoneFile loads the zone of a master file, which may be anywhere: the admin named it. But
// $INCLUDE, which stands in the file, reaches only the file's folder and what lies below it;
// os.Root refuses every way out of there, symbolic links included.
func readZoneFile(origin wireName, file string) (*zone, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("zone file: %w", err)
	}
	defer f.Close()
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("folder of the zone file: %w", err)
	}
	defer root.Close()
	return parseZone(origin, f, file, root.FS())
}

// parseZone reads a zone in master-file form (RFC 1035 section 5). Every error names file and
// line. includes is where $INCLUDE finds its files; nil refuses $INCLUDE.
func parseZone(origin wireName, r io.Reader, file string, includes fs.FS) (*zone, error) {
	return parseZoneWithin(maxZoneBytes, origin, r, file, includes)
}

// parseZoneWithin is parseZone with a bound on the octets of the zone: those of its files, and
// those that $GENERATE makes.
func parseZoneWithin(budget int, origin wireName, r io.Reader, file string, includes fs.FS) (*zone, error) {
	b := zoneBuilder{z: newZone(origin)}
	m := masterReader{origin: origin, includes: includes, emit: b.add, budget: budget}
	if err := m.read(r, file, filepath.Base(file)); err != nil {
		return nil, err
	}
	z, err := b.finish()
	if err != nil {
		return nil, &faultAt{file, 1, err}
	}
	return z, nil
}

// zoneBuilder collects records and refuses what a zone may not hold.
type zoneBuilder struct {
	z       *zone
	records int
	store   zoneStore
	large   largeSets
}

// add takes one record over. What it checks is what makes answers wrong or impossible later:
// owners outside, other classes, CNAME beside other data (RFC 1034 section 3.6.2), a second
// SOA.
func (b *zoneBuilder) add(name wireName, rr dns.RR) error {
	h := rr.Header()
	if b.records++; b.records > maxZoneRecords {
		return fmt.Errorf("the zone has more than %d records", maxZoneRecords)
	}
	if !name.under(b.z.origin) {
		return fmt.Errorf("%s lies outside of the zone %s", h.Name, b.z.origin)
	}
	if h.Class != classIN {
		return fmt.Errorf("%s has the class %s; only IN is served", h.Name, dns.Class(h.Class))
	}
	if h.Rrtype == dns.TypeSOA && name != b.z.origin {
		return fmt.Errorf("%s has a SOA record, but the zone is %s", h.Name, b.z.origin)
	}
	return b.take(b.z.ensure(name, &b.store), rr)
}

// take adds a record to its node. A repeated record counts once (RFC 2181 section 5).
func (b *zoneBuilder) take(n *node, rr dns.RR) error {
	h := rr.Header()
	set := n.get(h.Rrtype)
	if len(set) >= maxSetRecords {
		return fmt.Errorf("%s has more than %d %s records, which fit into no message", h.Name, maxSetRecords, dns.Type(h.Rrtype))
	}
	if b.repeated(n, set, rr) {
		return nil
	}
	switch h.Rrtype {
	case typeCNAME, dns.TypeSOA, typeDNAME:
		if len(set) > 0 {
			return fmt.Errorf("%s has a second %s record", h.Name, dns.Type(h.Rrtype))
		}
	}
	for _, s := range n.sets {
		if (s.typ == typeCNAME) != (h.Rrtype == typeCNAME) && !besideCNAME(s.typ) && !besideCNAME(h.Rrtype) {
			return fmt.Errorf("%s has a CNAME beside other records", h.Name)
		}
	}
	oneTTL(set, rr)
	n.add(rr, &b.store)
	return nil
}

// repeated says whether the set has the record already. Large sets are looked through by hash:
// comparing each record with each other would take minutes for a file full of such sets.
func (b *zoneBuilder) repeated(n *node, set []dns.RR, rr dns.RR) bool {
	const small = 8
	if len(set) >= small {
		if len(set) == small { // it becomes a large one
			for _, other := range set {
				b.large.note(n, other)
			}
		}
		if !b.large.note(n, rr) {
			return false
		}
	}
	return slices.ContainsFunc(set, func(other dns.RR) bool { return dns.IsDuplicate(rr, other) })
}

// largeSets remembers the records of large sets by their hash.
type largeSets struct {
	seed    maphash.Seed
	seen    map[setHash]struct{}
	scratch []byte
}

type setHash struct {
	n    *node
	typ  uint16
	hash uint64
}

// note takes a record and says whether it may be there already. The case of letters does not
// count, as in the names of its data; where it does, in texts, the caller sees the difference.
func (l *largeSets) note(n *node, rr dns.RR) bool {
	if l.seen == nil {
		l.seed, l.seen, l.scratch = maphash.MakeSeed(), map[setHash]struct{}{}, make([]byte, maxName+10+maxMessage)
	}
	h := *rr.Header()
	rr.Header().Name, rr.Header().Ttl = ".", 0 // its owner and TTL are no part of it
	end, err := dns.PackRR(rr, l.scratch, 0, nil, false)
	*rr.Header() = h
	if err != nil {
		return true
	}
	for i, c := range l.scratch[:end] {
		l.scratch[i] = lower(c)
	}
	key := setHash{n, h.Rrtype, maphash.Bytes(l.seed, l.scratch[:end])}
	_, there := l.seen[key]
	l.seen[key] = struct{}{}
	return there
}

// besideCNAME says which types may stand beside a CNAME: the DNSSEC ones (RFC 4034, 2.1 ff.).
func besideCNAME(typ uint16) bool {
	return typ == dns.TypeRRSIG || typ == dns.TypeNSEC || typ == dns.TypeKEY
}

// dataType says whether a type may stand in a zone: neither OPT nor 128-255, which are
// meta-types and question types (RFC 6895 section 3.1).
func dataType(typ uint16) bool {
	return typ != 0 && typ != typeOPT && (typ < 128 || typ > 255)
}

// finish checks the zone as a whole.
func (b *zoneBuilder) finish() (*zone, error) {
	z := b.z
	soa := z.apex.get(dns.TypeSOA)
	if len(soa) == 0 {
		return nil, fmt.Errorf("the zone has no SOA record at %s", z.origin)
	}
	if len(z.apex.get(typeNS)) == 0 {
		return nil, fmt.Errorf("the zone has no NS record at %s", z.origin)
	}
	z.soa = negativeSOA(soa[0].(*dns.SOA))
	return z, nil
}
