package place

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Bounds of a MaxMind database. The largest one that is sold has some 500 MB and ten million
// networks.
const (
	maxGeoFile  = 1 << 30
	maxGeoSteps = 64 << 20 // nodes and networks of the search tree
)

// geo is a database, reduced to what the rules ask of it.
type geo struct {
	spans [families]spans // indices into facts, or none
	facts []fact
}

// fact is what the database says of a network, as far as it matters.
type fact struct {
	rule      int // the index of the first rule that matches, or -1
	continent string
	country   string
	asn       uint32 // only where the rule asks for it
}

func (f fact) String() string {
	var said []string
	add := func(what, value string) {
		if value != "" {
			said = append(said, what+" "+value)
		}
	}
	add("continent", f.continent)
	add("country", f.country)
	if f.asn != 0 {
		add("AS", fmt.Sprint(f.asn))
	}
	if len(said) == 0 {
		said = []string{"without continent and country"}
	}
	return "mmdb: " + strings.Join(said, ", ")
}

// readGeo reads a database file. It is not mapped into memory: a file that is overwritten in
// place would end the process.
func readGeo(file string, rules []GeoRule) (*geo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if about.Size() > maxGeoFile {
		return nil, fmt.Errorf("%s is larger than %d MB", file, maxGeoFile>>20)
	}
	data := make([]byte, about.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	g, err := parseGeo(data, rules, maxGeoSteps)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return g, nil
}

// parseGeo reads the bytes of a database and takes at most so many steps for it.
func parseGeo(data []byte, rules []GeoRule, steps int) (*geo, error) {
	db, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind database: %w", err)
	}
	defer db.Close()
	meta := db.Metadata
	if meta.RecordSize != 24 && meta.RecordSize != 28 && meta.RecordSize != 32 {
		return nil, fmt.Errorf("it is no MaxMind database: its records have %d bits", meta.RecordSize)
	}
	if meta.IPVersion != 4 && meta.IPVersion != 6 {
		return nil, fmt.Errorf("it is no MaxMind database: its IP version is %d", meta.IPVersion)
	}
	w := geoWalk{
		db: db, tree: data[:meta.NodeCount*meta.RecordSize/4], nodes: meta.NodeCount, size: meta.RecordSize,
		rules: rules, steps: steps, known: map[uint]int32{}, index: map[fact]int32{}, geo: &geo{},
	}
	if err := w.run(meta.IPVersion); err != nil {
		return nil, err
	}
	for family := range families {
		w.geo.spans[family].ready(family)
	}
	return w.geo, w.unanswered(meta.DatabaseType)
}

// geoWalk goes through the search tree from left to right. The library could do it too, but
// skips what it sees as aliases without a word, so that a corrupt tree keeps it busy forever.
type geoWalk struct {
	db     *maxminddb.Reader
	tree   []byte
	nodes  uint // in the tree; a record of just that means "nothing", a greater one is data
	size   uint // of a record, in bits
	rules  []GeoRule
	steps  int
	family int
	v4     uint           // the node of ::/96, under which the IPv4 addresses are
	known  map[uint]int32 // fact by record
	index  map[fact]int32
	geo    *geo
	seen   struct{ continent, country, asn bool }
}

func (w *geoWalk) run(version uint) error {
	if version == 6 {
		for range 96 {
			if w.v4 >= w.nodes {
				break
			}
			w.v4, _ = w.children(w.v4)
		}
	}
	w.family = ipv4
	if err := w.walk(w.v4, key{}, 0); err != nil {
		return err
	}
	w.family = ipv6
	if version == 4 {
		w.geo.spans[ipv6].add(key{}, none)
		return nil
	}
	return w.walk(0, key{}, 0)
}

// separator is between the tree and the data (MaxMind DB file format 2.0).
const separator = 16

// walk takes what is below a node or a record.
func (w *geoWalk) walk(at uint, start key, depth int) error {
	if w.steps--; w.steps < 0 {
		return errors.New("it has too many networks")
	}
	out := &w.geo.spans[w.family]
	switch {
	case at == w.nodes:
		out.add(start, none)
		return nil
	case at > w.nodes:
		f, err := w.fact(at)
		out.add(start, f)
		return err
	case w.family == ipv6 && at == w.v4 && depth > 0:
		out.add(start, none) // IPv4, here or as an alias such as 2002::/16
		return nil
	case depth == width(w.family):
		return errors.New("its search tree is corrupt: it is deeper than an address")
	}
	left, right := w.children(at)
	if err := w.walk(left, start, depth+1); err != nil {
		return err
	}
	return w.walk(right, start.set(w.family, depth), depth+1)
}

// children are the two records of a node.
func (w *geoWalk) children(node uint) (left, right uint) {
	b := w.tree[node*w.size/4:]
	number := func(b []byte) uint { return uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]) }
	switch w.size {
	case 24:
		return number(b), number(b[3:])
	case 28:
		return uint(b[3]>>4)<<24 | number(b), uint(b[3]&0xf)<<24 | number(b[4:])
	}
	return uint(b[0])<<24 | number(b[1:]), uint(b[4])<<24 | number(b[5:])
}

// geoRecord is what is read of a network: the names are those of the GeoIP2 and GeoLite2
// databases Country, City, Enterprise, ASN and ISP.
type geoRecord struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	ASN    uint32 `maxminddb:"autonomous_system_number"`
	Traits struct {
		ASN uint32 `maxminddb:"autonomous_system_number"`
	} `maxminddb:"traits"`
}

// fact gives the index of what the data of a record says.
func (w *geoWalk) fact(record uint) (int32, error) {
	if i, ok := w.known[record]; ok {
		return i, nil
	}
	var r geoRecord
	if record < w.nodes+separator {
		return none, errors.New("its search tree is corrupt: it points between tree and data")
	}
	if err := w.db.LookupOffset(uintptr(record - w.nodes - separator)).Decode(&r); err != nil {
		return none, fmt.Errorf("its data cannot be read: %w", err)
	}
	if len(r.Continent.Code) > codeLength || len(r.Country.Code) > codeLength {
		return none, errors.New("its data cannot be read: a continent or country is no code of two letters")
	}
	r.ASN = max(r.ASN, r.Traits.ASN)
	w.seen.continent = w.seen.continent || r.Continent.Code != ""
	w.seen.country = w.seen.country || r.Country.Code != ""
	w.seen.asn = w.seen.asn || r.ASN != 0
	f := fact{rule: -1, continent: r.Continent.Code, country: r.Country.Code}
	for i, rule := range w.rules {
		if rule.matches(r) {
			f.rule, f.asn = i, rule.ASN
			break
		}
	}
	i, ok := w.index[f]
	if !ok {
		i = int32(len(w.geo.facts))
		w.geo.facts, w.index[f] = append(w.geo.facts, f), i
	}
	w.known[record] = i
	return i, nil
}

func (g GeoRule) matches(r geoRecord) bool {
	return (g.Continent == "" || g.Continent == r.Continent.Code) &&
		(g.Country == "" || g.Country == r.Country.Code) &&
		(g.ASN == 0 || g.ASN == r.ASN)
}

// unanswered is the error of rules that ask for what the database does not have at all, such as
// countries of one that is about autonomous systems. Those rules would never match.
func (w *geoWalk) unanswered(kind string) error {
	for i, rule := range w.rules {
		what := ""
		switch {
		case rule.Continent != "" && !w.seen.continent:
			what = "continents"
		case rule.Country != "" && !w.seen.country:
			what = "countries"
		case rule.ASN != 0 && !w.seen.asn:
			what = "numbers of autonomous systems"
		}
		if what != "" {
			return fmt.Errorf("the database (%.40q) has no %s, which geo.rule[%d] asks for", kind, what, i)
		}
	}
	return nil
}
