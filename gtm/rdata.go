package gtm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// recordBuilder makes records out of the words of a master file. The common types it reads by
// itself, because a large zone consists of them; what it cannot read, right or wrong, it gives
// to the parser of the DNS library, which knows every type and says what is wrong.
type recordBuilder struct {
	text    textBlocks
	scratch []byte // of names
	packed  []byte // of records
	a       blocks[dns.A]
	octets  blocks[[4]byte]
}

// record makes the record whose data begin with the at-th word.
func (b *recordBuilder) record(s *source, h dns.RR_Header, at int) (dns.RR, error) {
	words := s.words[at:]
	if !dataType(h.Rrtype) {
		return nil, fmt.Errorf("%s: %s is no type of zone data", h.Name, dns.Type(h.Rrtype))
	}
	if len(words) == 0 && h.Rrtype != dns.TypeAPL { // an empty list is a list (RFC 3123)
		return nil, fmt.Errorf("%s %s has no data", h.Name, dns.Type(h.Rrtype))
	}
	if h.Class == classIN {
		if rr := b.common(s, h, words); rr != nil {
			return rr, nil
		}
	}
	return b.rare(s, h, s.from(at))
}

// common makes a record of a common type; nil stands for everything that is not plain.
func (b *recordBuilder) common(s *source, h dns.RR_Header, words []word) dns.RR {
	switch {
	case h.Rrtype == dns.TypeTXT:
		return b.txt(s, h, words)
	case h.Rrtype == typeSRV && len(words) == 4:
		priority, ok1 := number(s, words[0])
		weight, ok2 := number(s, words[1])
		port, ok3 := number(s, words[2])
		if target, ok := b.name(s, words[3]); ok && ok1 && ok2 && ok3 {
			return &dns.SRV{Hdr: h, Priority: priority, Weight: weight, Port: port, Target: target}
		}
	case h.Rrtype == dns.TypeMX && len(words) == 2:
		preference, ok1 := number(s, words[0])
		if host, ok := b.name(s, words[1]); ok && ok1 {
			return &dns.MX{Hdr: h, Preference: preference, Mx: host}
		}
	case len(words) == 1:
		return b.single(s, h, words[0])
	}
	return nil
}

// single makes a record whose data are one word.
func (b *recordBuilder) single(s *source, h dns.RR_Header, w word) dns.RR {
	switch h.Rrtype {
	case typeA:
		if ip, ok := parseIPv4(s.text[w.from:w.to]); ok {
			rr, octets := b.a.next(), b.octets.next()
			*octets = ip
			rr.Hdr, rr.A = h, octets[:]
			return rr
		}
	case typeAAAA:
		if ip, err := netip.ParseAddr(string(s.text[w.from:w.to])); err == nil && ip.Is6() && ip.Zone() == "" {
			return &dns.AAAA{Hdr: h, AAAA: net.IP(ip.AsSlice())}
		}
	case typeNS, typeCNAME, typeDNAME, dns.TypePTR:
		host, ok := b.name(s, w)
		if !ok {
			return nil
		}
		switch h.Rrtype {
		case typeNS:
			return &dns.NS{Hdr: h, Ns: host}
		case typeCNAME:
			return &dns.CNAME{Hdr: h, Target: host}
		case typeDNAME:
			return &dns.DNAME{Hdr: h, Target: host}
		}
		return &dns.PTR{Hdr: h, Ptr: host}
	}
	return nil
}

func (b *recordBuilder) txt(s *source, h dns.RR_Header, words []word) dns.RR {
	texts := make([]string, len(words))
	for i, w := range words {
		switch {
		case w.form == formMixed:
			return nil
		case w.form == formQuoted:
			w.from, w.to = w.from+1, w.to-1
		}
		if w.to-w.from > 255 {
			return nil
		}
		texts[i] = b.text.bytes(s.text[w.from:w.to])
	}
	return &dns.TXT{Hdr: h, Txt: texts}
}

// name checks a plain name and gives its absolute form.
func (b *recordBuilder) name(s *source, w word) (string, bool) {
	var buf [maxName]byte
	if w.form != formPlain {
		return "", false
	}
	if _, err := s.wire(buf[:0], w); err != nil {
		return "", false
	}
	return b.presentation(s, w), true
}

// presentation gives the absolute form of a name in its own case.
func (b *recordBuilder) presentation(s *source, w word) string {
	text := s.text[w.from:w.to]
	if len(text) == 1 && text[0] == '@' {
		return s.originText
	}
	b.scratch = append(b.scratch[:0], text...)
	if !isAbsolute(text) {
		b.scratch = append(b.scratch, '.')
		if s.origin != rootName {
			b.scratch = append(b.scratch, s.originText...)
		}
	}
	return b.text.bytes(b.scratch)
}

func number(s *source, w word) (uint16, bool) {
	n, err := strconv.ParseUint(string(s.text[w.from:w.to]), 10, 16)
	return uint16(n), err == nil
}

// parseIPv4 reads the dotted form, without leading zeros, which some read as octal.
func parseIPv4(text []byte) (ip [4]byte, ok bool) {
	field, value, digits := 0, 0, 0
	for _, c := range text {
		switch {
		case c == '.' && digits > 0 && field < 3:
			ip[field] = byte(value)
			field, value, digits = field+1, 0, 0
		case isDigit(c) && (digits == 0 || value > 0):
			if value = value*10 + int(c-'0'); value > 255 {
				return ip, false
			}
			digits++
		default:
			return ip, false
		}
	}
	ip[field] = byte(value)
	return ip, field == 3 && digits > 0
}

// parserPlace is how the library says what is wrong: "dns: WHAT at line: LINE:COLUMN".
var parserPlace = regexp.MustCompile(`^(?:.*?: )?dns: (.*) at line: \d+:\d+$`)

// rare lets the library read a record, and checks that it can be sent.
func (b *recordBuilder) rare(s *source, h dns.RR_Header, data []byte) (dns.RR, error) {
	line := fmt.Sprintf(". %d CLASS%d TYPE%d %s\n", h.Ttl, h.Class, h.Rrtype, data)
	zp := dns.NewZoneParser(strings.NewReader(line), s.originText, "")
	rr, ok := zp.Next()
	if err := zp.Err(); err != nil {
		if m := parserPlace.FindStringSubmatch(err.Error()); m != nil {
			err = errors.New(m[1])
		}
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s %s has no data", h.Name, dns.Type(h.Rrtype))
	}
	if b.packed == nil {
		b.packed = make([]byte, len(".")+10+maxMessage)
	}
	end, err := dns.PackRR(rr, b.packed, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("%s %s cannot be sent: %w", h.Name, dns.Type(h.Rrtype), err)
	}
	if _, known := dns.TypeToRR[h.Rrtype]; known && end == len(".")+10 && h.Rrtype != dns.TypeAPL && h.Rrtype != dns.TypeNULL {
		return nil, fmt.Errorf("%s %s has no data", h.Name, dns.Type(h.Rrtype))
	}
	rr.Header().Name = h.Name
	return rr, nil
}
