package gtm

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/miekg/dns"
)

// Bounds of one zone: a file is refused above them before it takes the memory of the process.
const (
	maxZoneBytes   = 1 << 30
	maxZoneRecords = 4_000_000 // some 1 GB; $GENERATE makes 65,536 of one line
	maxSetRecords  = 4096      // more records of 16 octets do not fit into one message
)

// errZoneBytes ends the reading of a file above maxZoneBytes.
var errZoneBytes = fmt.Errorf("the file is larger than %d bytes", maxZoneBytes)

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
	lines := &lineReader{r: bufio.NewReader(r), left: maxZoneBytes, line: 1}
	zp := dns.NewZoneParser(lines, origin.String(), filepath.Base(file))
	zp.SetIncludeAllowed(includes != nil)
	zp.SetIncludeFS(includes)

	b := zoneBuilder{z: newZone(origin), scratch: make([]byte, 1<<16)}
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		if err := b.add(rr); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, lines.recordLine(), err)
		}
	}
	if lines.left < 0 {
		return nil, fmt.Errorf("%s:%d: %w", file, lines.line, errZoneBytes)
	}
	if err := zp.Err(); err != nil {
		return nil, placeOf(err, file)
	}
	z, err := b.finish()
	if err != nil {
		return nil, fmt.Errorf("%s:1: %w", file, err)
	}
	return z, nil
}

// zoneBuilder collects records and refuses what a zone may not hold.
type zoneBuilder struct {
	z       *zone
	records int
	scratch []byte
}

// add takes one record over. What it checks is what makes answers wrong or impossible later:
// owners outside, other classes, CNAME beside other data (RFC 1034 section 3.6.2), a second
// SOA, records that do not fit into a message.
func (b *zoneBuilder) add(rr dns.RR) error {
	h := rr.Header()
	if b.records++; b.records > maxZoneRecords {
		return fmt.Errorf("the zone has more than %d records", maxZoneRecords)
	}
	name, err := parseName(h.Name)
	if err != nil {
		return fmt.Errorf("the owner name %s %w", h.Name, err)
	}
	if !name.under(b.z.origin) {
		return fmt.Errorf("%s lies outside of the zone %s", h.Name, b.z.origin)
	}
	if h.Class != classIN {
		return fmt.Errorf("%s has the class %s; only IN is served", h.Name, dns.Class(h.Class))
	}
	if !dataType(h.Rrtype) {
		return fmt.Errorf("%s: %s is no type of zone data", h.Name, dns.Type(h.Rrtype))
	}
	if h.Rrtype == dns.TypeSOA && name != b.z.origin {
		return fmt.Errorf("%s has a SOA record, but the zone is %s", h.Name, b.z.origin)
	}
	if _, err := dns.PackRR(rr, b.scratch, 0, nil, false); err != nil {
		return fmt.Errorf("%s %s cannot be sent: %w", h.Name, dns.Type(h.Rrtype), err)
	}
	return b.z.ensure(name).take(rr)
}

// take adds a record to its node. A repeated record counts once (RFC 2181 section 5); all
// records of a set get the lowest TTL of them (RFC 2181 section 5.2).
func (n *node) take(rr dns.RR) error {
	h := rr.Header()
	set := n.get(h.Rrtype)
	if len(set) >= maxSetRecords {
		return fmt.Errorf("%s has more than %d %s records, which fit into no message", h.Name, maxSetRecords, dns.Type(h.Rrtype))
	}
	for _, other := range set {
		if dns.IsDuplicate(rr, other) {
			return nil
		}
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
	for _, other := range set {
		ttl := min(other.Header().Ttl, h.Ttl)
		other.Header().Ttl, h.Ttl = ttl, ttl
	}
	n.add(rr)
	return nil
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

// lineReader counts the lines that the parser has taken. It gives single bytes, so that the
// parser reads no further than the record that it returns.
type lineReader struct {
	r    *bufio.Reader
	left int
	line int
	last byte
}

// ReadByte gives the next byte, or an error above the size bound.
func (l *lineReader) ReadByte() (byte, error) {
	if l.left--; l.left < 0 {
		return 0, errZoneBytes
	}
	c, err := l.r.ReadByte()
	if err == nil {
		if c == '\n' {
			l.line++
		}
		l.last = c
	}
	return c, err
}

// Read exists because the parser takes an io.Reader; it finds and uses ReadByte.
func (l *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := l.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}

// recordLine is the line on which the newest record ended: its newline has been taken.
func (l *lineReader) recordLine() int {
	if l.last == '\n' {
		return l.line - 1
	}
	return l.line
}

// parserPlace is how the parser says where: "FILE: dns: WHAT at line: LINE:COLUMN".
var parserPlace = regexp.MustCompile(`^(?:(.*?): )?dns: (.*) at line: (\d+):\d+$`)

// placeOf turns an error of the parser into "file:line: what".
func placeOf(err error, file string) error {
	m := parserPlace.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if m[1] != "" && m[1] != filepath.Base(file) { // an included file, relative to its folder
		file = filepath.Join(filepath.Dir(file), m[1])
	}
	what := m[2]
	if strings.Contains(what, "failed to open") {
		what += " ($INCLUDE reaches only the folder of the zone file)"
	}
	return fmt.Errorf("%s:%s: %s", file, m[3], what)
}
