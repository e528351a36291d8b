package gtm

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// NewQuestion makes a question from what a person types: a name with or without the final dot
// and a type's mnemonic ("A", "SRV", "TYPE65").
func NewQuestion(name, qtype string, client netip.Addr) (Question, error) {
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		return Question{}, fmt.Errorf("%q is no domain name; write it as in cb.company.com", name)
	}
	qtype = strings.ToUpper(qtype)
	number, ok := dns.StringToType[qtype]
	if !ok {
		n, err := strconv.ParseUint(strings.TrimPrefix(qtype, "TYPE"), 10, 16)
		if err != nil || !strings.HasPrefix(qtype, "TYPE") {
			return Question{}, fmt.Errorf("%q is no DNS type; write A, AAAA, SRV, ... or TYPE and a number", qtype)
		}
		number = uint16(n)
	}
	return Question{Name: dns.Fqdn(name), Type: number, Client: client.Unmap()}, nil
}

// Lines gives the answer's records as a person reads them, after its response code.
func (a Answer) Lines() []string {
	out := []string{"rcode:       " + rcodeText(a.Rcode)}
	section := func(name string, rrs []dns.RR) {
		for _, rr := range rrs {
			out = append(out, name+strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	for _, e := range a.Extended {
		what := dns.ExtendedErrorCodeToString[e.Code]
		if e.Text != "" {
			what += ": " + e.Text
		}
		out = append(out, fmt.Sprintf("extended:    %d %s", e.Code, what))
	}
	section("answer:      ", a.Answer)
	section("authority:   ", a.Ns)
	section("additional:  ", a.Extra)
	return out
}
